//! Assigns buffers to physical slots by lifetime, checks such assignments, and adds up memory.

use std::collections::BTreeMap;

use super::{Buffer, PART_WORDS, Plan, Purpose};
use crate::kernels::{Access, BufferId, Op};

/// First and last op (inclusive) of one call list during which a buffer must keep its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life {
    list: usize,
    first: usize,
    last: usize,
}

impl Life {
    fn overlaps(self, other: Self) -> bool {
        self.list == other.list && self.first <= other.last && other.first <= self.last
    }
}

/// The buffer that `i` is a part of, or itself.
fn whole(buffers: &[Buffer], i: usize) -> usize {
    buffers.get(i).and_then(|b| b.part).map_or(i, |(of, _)| of.index())
}

/// Lives of every buffer, one per list that touches it; parts live in the whole. Buffers in `keep`
/// live to the end of their list, so that the host can read them after it.
fn lives(buffers: &[Buffer], lists: &[&[Op]], keep: &[BufferId]) -> Vec<Vec<Life>> {
    let mut lives: Vec<Vec<Life>> = vec![Vec::new(); buffers.len()];
    for (list, ops) in lists.iter().enumerate() {
        for (at, op) in ops.iter().enumerate() {
            for access in op.access() {
                let of = &mut lives[whole(buffers, access.buffer.index())];
                match of.last_mut() {
                    Some(life) if life.list == list => life.last = at,
                    _ => of.push(Life { list, first: at, last: at }),
                }
            }
        }
        for id in keep {
            if let Some(life) = lives[id.index()].last_mut()
                && life.list == list
            {
                life.last = ops.len();
            }
        }
    }
    lives
}

/// Gives every buffer a slot and returns the words of each slot. Persistent buffers get their own;
/// the others, largest first, share the first slot whose buffers are never live at the same time.
pub fn assign(buffers: &mut [Buffer], lists: &[&[Op]], keep: &[BufferId]) -> Vec<usize> {
    let lives = lives(buffers, lists, keep);
    let mut slots: Vec<usize> = Vec::new();
    let mut shared: Vec<(usize, Vec<Life>)> = Vec::new();
    let mut order: Vec<usize> = (0..buffers.len()).filter(|i| buffers[*i].part.is_none()).collect();
    order.sort_by_key(|&i| (!buffers[i].persistent, std::cmp::Reverse(buffers[i].words), i));
    for i in order {
        let buffer = &mut buffers[i];
        let new = slots.len();
        if buffer.persistent {
            buffer.slot = new;
            slots.push(buffer.words);
            continue;
        }
        let fits = |(_, taken): &&mut (usize, Vec<Life>)| {
            !taken.iter().any(|t| lives[i].iter().any(|l| l.overlaps(*t)))
        };
        if let Some((slot, taken)) = shared.iter_mut().find(fits) {
            buffer.slot = *slot;
            taken.extend(&lives[i]);
        } else {
            buffer.slot = new;
            slots.push(buffer.words);
            shared.push((new, lives[i].clone()));
        }
    }
    for i in 0..buffers.len() {
        let at = whole(buffers, i);
        let slot = buffers[at].slot;
        buffers[i].slot = slot;
    }
    slots
}

/// Looks for faults of a plan: an op that touches more than a buffer holds or reads a transient
/// buffer, or a part of one, before anything wrote it, a buffer larger than its slot or than what it
/// is a part of, two buffers of one slot that are live together. Returns one sentence per fault.
pub fn check(plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    let name = |i: usize| plan.buffers[i].name.as_str();
    for buffer in &plan.buffers {
        if plan.slots.get(buffer.slot).is_none_or(|words| *words < buffer.words) {
            faults.push(format!("{} does not fit in its slot", buffer.name));
        }
        if let Some((of, offset)) = buffer.part {
            let fits = plan.buffers.get(of.index()).is_some_and(|of| {
                of.part.is_none()
                    && of.slot == buffer.slot
                    && offset.is_multiple_of(PART_WORDS)
                    && offset + buffer.words <= of.words
            });
            if !fits {
                faults.push(format!("{} is no part of {}", buffer.name, name(of.index())));
            }
        }
    }
    let lists = plan.lists();
    for ops in lists {
        let mut written = vec![Stretches::default(); plan.buffers.len()];
        for op in ops {
            let accesses = op.access();
            for access in &accesses {
                let i = access.buffer.index();
                if plan.buffers[i].words < access.words {
                    faults.push(format!("an op touches {} words of {}", access.words, name(i)));
                }
                let (root, words) = stretch(plan, access);
                let known = plan.buffers[root].persistent || written[root].hold(words);
                if access.reads && !known {
                    faults.push(format!("{} is read before it is written", name(i)));
                }
                if access.writes
                    && accesses.iter().filter(|other| stretch(plan, other).0 == root).count() > 1
                {
                    faults.push(format!("an op binds {} twice", name(i)));
                }
            }
            for access in accesses.iter().filter(|a| a.writes) {
                let (root, words) = stretch(plan, access);
                written[root].add(words);
            }
        }
    }
    let lives = lives(&plan.buffers, &lists, &plan.kept());
    for (i, a) in plan.buffers.iter().enumerate() {
        for (j, b) in plan.buffers.iter().enumerate().skip(i + 1) {
            let apart = a.part.is_none() && b.part.is_none();
            let together = a.persistent
                || b.persistent
                || lives[i].iter().any(|x| lives[j].iter().any(|y| x.overlaps(*y)));
            if a.slot == b.slot && apart && together {
                faults.push(format!("{} and {} share a slot while both live", a.name, b.name));
            }
        }
    }
    faults
}

/// Stretches of words, in order and apart.
#[derive(Debug, Clone, Default)]
struct Stretches(Vec<(usize, usize)>);

impl Stretches {
    fn add(&mut self, (mut from, mut to): (usize, usize)) {
        self.0.retain(|(a, b)| {
            let touches = *a <= to && from <= *b;
            if touches {
                (from, to) = (from.min(*a), to.max(*b));
            }
            !touches
        });
        self.0.push((from, to));
    }

    /// Whether they hold all of a stretch.
    fn hold(&self, (from, to): (usize, usize)) -> bool {
        from == to || self.0.iter().any(|(a, b)| *a <= from && to <= *b)
    }
}

/// The buffer, not a part, that an access touches, and the words of it.
fn stretch(plan: &Plan, access: &Access) -> (usize, (usize, usize)) {
    let i = access.buffer.index();
    let offset = plan.buffers[i].part.map_or(0, |(_, offset)| offset);
    (whole(&plan.buffers, i), (offset, offset + access.words))
}

/// Bytes by purpose.
pub type Ledger = BTreeMap<Purpose, u64>;

/// Sum of a ledger.
pub fn total(ledger: &Ledger) -> u64 {
    ledger.values().sum()
}

/// What each physical slot counts as: the purpose of the largest buffer in it.
pub fn purposes(plan: &Plan) -> Vec<Purpose> {
    let mut owner: Vec<Option<&Buffer>> = vec![None; plan.slots.len()];
    for buffer in &plan.buffers {
        if let Some(slot) = owner.get_mut(buffer.slot)
            && slot.is_none_or(|b| b.words < buffer.words)
        {
            *slot = Some(buffer);
        }
    }
    owner.into_iter().map(|buffer| buffer.map_or(Purpose::Workspace, |b| b.purpose)).collect()
}

/// Bytes of physical memory by purpose. A shared slot counts once, so the sum is what the plan
/// really takes.
pub fn ledger(plan: &Plan) -> Ledger {
    by_purpose(plan, plan.slots.iter().map(|words| 4 * *words as u64))
}

/// Adds up the bytes of each slot by purpose.
pub fn by_purpose(plan: &Plan, slots: impl Iterator<Item = u64>) -> Ledger {
    let mut bytes = BTreeMap::new();
    for (slot, purpose) in slots.zip(purposes(plan)) {
        *bytes.entry(purpose).or_insert(0) += slot;
    }
    bytes
}

/// Bytes that the logical buffers of each purpose would take without sharing.
pub fn logical_ledger(plan: &Plan) -> Ledger {
    let mut bytes = BTreeMap::new();
    for buffer in plan.buffers.iter().filter(|b| b.part.is_none()) {
        *bytes.entry(buffer.purpose).or_insert(0) += 4 * buffer.words as u64;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fp8::{Precision, Recipe};
    use crate::model::{Activation, EmbeddingSpec, Head, InputSpec, ModelSpec};
    use crate::plan::{Optimizer, PlanConfig, UpdateOptions, compile};

    fn plan(precision: Precision) -> Plan {
        let embeddings = vec![EmbeddingSpec { name: "c".to_owned(), cardinality: 9, dim: 3 }];
        let input = InputSpec { dense: 13, embeddings, image: None };
        let head = Head::Classes { count: 5 };
        let model = ModelSpec::mlp(input, &[64, 32, 64], Activation::Gelu, true, 0.1, false, head);
        let config = PlanConfig {
            batch: 128,
            precision,
            optimizer: Optimizer::default(),
            update: UpdateOptions::default(),
        };
        compile(&model, &config).unwrap()
    }

    fn precisions() -> [Precision; 3] {
        [Precision::F32, Precision::Fp8(Recipe::current()), Precision::Fp8(Recipe::delayed())]
    }

    #[test]
    fn no_two_live_buffers_share_and_memory_is_saved() {
        for precision in precisions() {
            let plan = plan(precision);
            assert_eq!(check(&plan), Vec::<String>::new());
            let physical: u64 = ledger(&plan).values().sum();
            let logical: u64 = logical_ledger(&plan).values().sum();
            assert_eq!(physical, plan.bytes());
            assert!(physical < logical, "{physical} of {logical}");
        }
    }

    /// Two transient buffers that both live while op `at` runs.
    fn live_pair(plan: &Plan) -> (usize, usize) {
        let transient = |i: &usize| !plan.buffers[*i].persistent;
        for op in &plan.train_step {
            let ids: Vec<usize> = op.access().iter().map(|a| a.buffer.index()).collect();
            let ids: Vec<usize> = ids.into_iter().filter(transient).collect();
            if let [a, b, ..] = ids[..] {
                return (a, b);
            }
        }
        panic!("every op has at most one transient buffer");
    }

    #[test]
    fn planted_faults_are_found() {
        let good = plan(Precision::Fp8(Recipe::current()));
        let finds = |change: &dyn Fn(&mut Plan), word: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            let faults = check(&bad);
            assert!(faults.iter().any(|f| f.contains(word)), "{word}: {faults:?}");
        };
        let (a, b) = live_pair(&good);
        finds(&|p| p.buffers[a].slot = p.buffers[b].slot, "share a slot");
        finds(&|p| p.buffers[a].slot = p.buffers[p.dense.index()].slot, "share a slot");
        finds(&|p| p.slots[p.buffers[a].slot] = 1, "does not fit");
        finds(&|p| p.buffers[a].slot = 10_000, "does not fit");
        finds(&|p| p.buffers[a].words = 1, "touches");
        finds(&|p| p.train_step.reverse(), "before it is written");
        finds(
            &|p| {
                for op in &mut p.train_step {
                    if let Op::LayerNorm(op) = op {
                        op.out = op.x;
                    }
                }
            },
            "binds",
        );
    }

    #[test]
    fn fp8_keeps_smaller_copies_for_backward() {
        // The f32 plan keeps every layer input in f32 until its weight gradient; FP8 keeps bytes.
        let activation = |p: Precision| {
            let plan = plan(p);
            logical_ledger(&plan)[&Purpose::Quantised]
        };
        let (f32, fp8) = (activation(Precision::F32), activation(precisions()[1]));
        assert_eq!(f32, 4);
        // Inputs (16, 64, 32, 64) and gradients (64, 32, 64, 5 padded to 8) of 128 rows, weights,
        // and one scale each; 4 bytes of unused history.
        let rows = 128 * (16 + 64 + 32 + 64 + 64 + 32 + 64 + 8);
        let weights = 64 * 16 + 32 * 64 + 64 * 32 + 5 * 64;
        assert_eq!(fp8, rows + weights + 12 * 4 + 4);
    }
}
