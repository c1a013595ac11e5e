use fp8_studio::fp8::*;
use fp8_studio::kernels::*;
use fp8_studio::model::*;
use fp8_studio::plan::*;
use std::collections::BTreeMap;
use std::time::Instant;
#[repr(C)]
struct Ts {
    s: i64,
    n: i64,
}
unsafe extern "C" {
    fn clock_gettime(id: i32, t: *mut Ts) -> i32;
}
fn cpu() -> f64 {
    let mut t = Ts { s: 0, n: 0 };
    unsafe {
        clock_gettime(2, &mut t);
    }
    t.s as f64 + t.n as f64 * 1e-9
}
fn main() {
    let arg = std::env::args().nth(1).unwrap_or("fp8".into());
    let kind = std::env::args().nth(2).unwrap_or("cnn".into());
    let precision = if arg == "f32" { Precision::F32 } else { Precision::Fp8(Recipe::current()) };
    let head = Head::Classes { count: 10 };
    let shape = ImageShape { height: 28, width: 28, channels: 1 };
    let model = match kind.as_str() {
        "resnet" => ModelSpec::resnet(shape, &ResNetOptions::default(), head),
        "sep" => ModelSpec::depthwise_separable(shape, &SeparableOptions::default(), head),
        _ => ModelSpec::cnn(shape, &CnnOptions::default(), head),
    };
    let plan =
        compile(&model, &PlanConfig { batch: 256, precision, optimizer: Optimizer::default() })
            .unwrap();
    println!(
        "plan bytes {} MB {:?}",
        plan.bytes() / 1_000_000,
        fp8_studio::plan::memory::ledger(&plan)
    );
    let place = plan.buffers.iter().map(|b| (b.slot, b.words)).collect();
    let mut slots = Slots::new(&plan.slots, place);
    for (p, i) in plan.params.iter().zip(init::init(&model, 1)) {
        slots.words_mut(p.weight).copy_from_slice(bytemuck::cast_slice(&i.values));
    }
    for (i, v) in slots.words_mut(plan.dense).iter_mut().enumerate() {
        *v = ((hash::mix(i as u32) >> 8) as f32 / 16777216.0).to_bits();
    }
    for (i, v) in slots.words_mut(plan.targets).iter_mut().enumerate() {
        *v = hash::mix(i as u32) % 10;
    }
    for v in slots.words_mut(plan.sample_weights).iter_mut() {
        *v = 1f32.to_bits();
    }
    let s = slots.words_mut(plan.step);
    s[step_state::STEP] = 1;
    s[step_state::VALID] = 256;
    s[step_state::LEARNING_RATE] = 1e-4f32.to_bits();
    s[step_state::BETA1_CORRECTION] = 10f32.to_bits();
    s[step_state::BETA2_CORRECTION] = 1000f32.to_bits();
    s[step_state::INV_VALID] = (1.0f32 / 256.0).to_bits();
    slots.full_stats = std::env::args().nth(3).is_some();
    if let Some(n) = std::env::args().nth(4) {
        let n: usize = n.parse().unwrap();
        let op = &plan.train_step[n];
        for o in &plan.train_step[..=n] {
            o.cpu(&mut slots);
        }
        let t = cpu();
        for _ in 0..100 {
            op.cpu(&mut slots);
        }
        println!("{:.3} ms", (cpu() - t) * 10.0);
        return;
    }
    let mut best = vec![f64::MAX; plan.train_step.len()];
    let mut total = f64::MAX;
    let mut all = vec![];
    for _ in 0..60 {
        let t0 = Instant::now();
        rayon::scope(|_| {
            for (i, op) in plan.train_step.iter().enumerate() {
                let t = cpu();
                op.cpu(&mut slots);
                best[i] = best[i].min(cpu() - t);
            }
        });
        let t = t0.elapsed().as_secs_f64();
        all.push(t);
        total = total.min(t);
    }
    all.sort_by(f64::total_cmp);
    println!(
        "best {:.2} ms, median {:.2}, sum of bests {:.2}",
        total * 1e3,
        all[30] * 1e3,
        best.iter().sum::<f64>() * 1e3
    );
    let mut by: BTreeMap<String, f64> = BTreeMap::new();
    for (op, t) in plan.train_step.iter().zip(&best) {
        let name = format!("{op:?}");
        let name = name.split('(').next().unwrap().to_string();
        let a = op.access();
        let big = a.iter().max_by_key(|a| a.words).unwrap();
        println!("{:8.3} ms {name} ({})", t * 1e3, plan.buffers[big.buffer.index()].name);
        *by.entry(name).or_default() += t;
    }
    println!("{by:#?}");
}
