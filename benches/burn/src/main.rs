//! Training steps in burn on the networks of `fp8-studio bench`: batches of 256, AdamW,
//! cross-entropy; 784-512-512-10, or 3 × 3 filters of 32 and 64 channels with 2 × 2 max-pooling and
//! 128 units on 28 × 28 pixels.
//!
//!     cargo run --release -- mlp|cnn ndarray|flex [seconds] [batch]
//!     cargo run --release --features wgpu -- mlp|cnn wgpu [seconds] [batch]
//!
//! Prints the median time of a step in milliseconds. As in `fp8-studio bench`, several steps are
//! timed together, and a GPU is waited for after each group.

use std::time::{Duration, Instant};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};

/// Steps that are timed together.
const GROUP: usize = 4;
/// Groups before the timed ones.
const WARM_UP: usize = 2;

#[derive(Module, Debug)]
struct Dense {
    first: Linear,
    second: Linear,
    last: Linear,
}

impl Dense {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(784, 512).init(device),
            second: LinearConfig::new(512, 512).init(device),
            last: LinearConfig::new(512, 10).init(device),
        }
    }
}

#[derive(Module, Debug)]
struct Convolutional {
    first: Conv2d,
    second: Conv2d,
    pool: MaxPool2d,
    dense: Linear,
    last: Linear,
}

impl Convolutional {
    fn new(device: &Device) -> Self {
        let conv = |from, to| {
            let same = PaddingConfig2d::Explicit(1, 1, 1, 1);
            Conv2dConfig::new([from, to], [3, 3]).with_padding(same).init(device)
        };
        Self {
            first: conv(1, 32),
            second: conv(32, 64),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dense: LinearConfig::new(64 * 7 * 7, 128).init(device),
            last: LinearConfig::new(128, 10).init(device),
        }
    }
}

/// From `[batch, 784]` to `[batch, 10]`.
trait Network: Module {
    fn logits(&self, x: Tensor<2>) -> Tensor<2>;
}

impl Network for Dense {
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let x = relu(self.first.forward(x));
        self.last.forward(relu(self.second.forward(x)))
    }
}

impl Network for Convolutional {
    fn logits(&self, x: Tensor<2>) -> Tensor<2> {
        let [batch, _] = x.dims();
        let x = x.reshape([batch, 1, 28, 28]);
        let x = self.pool.forward(relu(self.first.forward(x)));
        let x = self.pool.forward(relu(self.second.forward(x)));
        self.last.forward(relu(self.dense.forward(x.flatten::<2>(1, 3))))
    }
}

/// Milliseconds of a step, and the losses before and after all steps.
fn time(mut network: impl Network, device: &Device, limit: Duration, batch: usize) -> (f64, [f32; 2]) {
    // Half of the inputs are zero, as pixels are.
    let inputs = |batch: usize| {
        let uniform = || Tensor::<2>::random([batch, 784], Distribution::Uniform(0.0, 1.0), device);
        uniform() * uniform().lower_elem(0.5).float()
    };
    let x = inputs(batch);
    let targets: Vec<i32> = (0..batch as i32).map(|i| (i * 7) % 10).collect();
    let targets = Tensor::<1, Int>::from_ints(targets.as_slice(), device);
    let loss = CrossEntropyLossConfig::new().init(device);
    let decay = AdamWConfig::new().with_weight_decay(0.01).with_epsilon(1e-8);
    let mut optimizer = decay.init();
    let mut losses = [0.0; 2];
    let (mut times, mut begin) = (Vec::new(), Instant::now());
    let mut groups = 0;
    while groups < WARM_UP + 2 || (begin.elapsed() < limit) {
        if groups == WARM_UP {
            begin = Instant::now();
        }
        let start = Instant::now();
        let mut last = None;
        for _ in 0..GROUP {
            let value = loss.forward(network.logits(x.clone()), targets.clone());
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            network = optimizer.step(1e-3, network, gradients);
            last = Some(value);
        }
        device.sync().expect("the device ended its work");
        if groups >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e3 / GROUP as f64);
        }
        if let Some(value) = last {
            losses[usize::from(groups > 0)] = value.into_scalar::<f32>();
        }
        groups += 1;
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], losses)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize| arguments.get(i).map_or("", String::as_str);
    #[allow(deprecated)] // the backend is still what many know
    let device = match argument(1) {
        "ndarray" => Device::ndarray(),
        "flex" => Device::flex(),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        _ => panic!("the second argument is ndarray, flex, or wgpu where built with that feature"),
    }
    .autodiff();
    device.seed(1);
    let limit = Duration::from_secs_f64(argument(2).parse().unwrap_or(3.0));
    let batch = argument(3).parse().unwrap_or(256);
    let (milliseconds, losses) = match argument(0) {
        "mlp" => time(Dense::new(&device), &device, limit, batch),
        "cnn" => time(Convolutional::new(&device), &device, limit, batch),
        _ => panic!("the first argument is mlp or cnn"),
    };
    // A network that learns nothing would be no comparison.
    assert!(losses[1] < losses[0], "the loss went from {} to {}", losses[0], losses[1]);
    println!("{milliseconds:.3}");
}
