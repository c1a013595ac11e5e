//! Operators on images `[rows, channels, height, width]`.

use rayon::prelude::*;

use super::graph::{Attribute, Node};
use super::run::{Computed, dot, floats, whole};
use super::tensor::{Data, Tensor};

/// A window that slides over images.
struct Sliding {
    rows: usize,
    channels: usize,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    places: [usize; 2],
}

fn pair(node: &Node, name: &str, default: usize) -> Result<[usize; 2], String> {
    let Some(Attribute::Ints(list)) = node.attribute(name) else { return Ok([default; 2]) };
    let get = |i: usize| list.get(i).and_then(|v| usize::try_from(*v).ok());
    match (get(0), get(1)) {
        (Some(a), Some(b)) => Ok([a, b]),
        _ => Err(format!("the setting {name} is damaged")),
    }
}

impl Sliding {
    fn of(node: &Node, x: &Tensor) -> Result<Self, String> {
        let &[rows, channels, height, width] = &x.shape[..] else {
            return Err("it needs images".to_owned());
        };
        let size = [height, width];
        let kernel = pair(node, "kernel_shape", 1)?;
        let (stride, padding) = (pair(node, "strides", 1)?, pair(node, "pads", 0)?);
        let mut places = [0; 2];
        for (i, place) in places.iter_mut().enumerate() {
            let room = size[i].checked_add(2 * padding[i].min(1 << 20));
            let room = room.and_then(|r| r.checked_sub(kernel[i]));
            *place = match (room, stride[i], kernel[i]) {
                (Some(room), 1.., 1..) => room / stride[i] + 1,
                _ => return Err("the window does not fit".to_owned()),
            };
        }
        Ok(Self { rows, channels, size, kernel, stride, padding, places })
    }

    /// Positions in a channel's image under the window at a place; `None` beyond the edge.
    fn under(&self, y: usize, x: usize) -> impl Iterator<Item = Option<usize>> + '_ {
        let inside = move |axis: usize, place: usize, k: usize| {
            (place * self.stride[axis] + k)
                .checked_sub(self.padding[axis])
                .filter(|at| *at < self.size[axis])
        };
        (0..self.kernel[0]).flat_map(move |ky| {
            (0..self.kernel[1])
                .map(move |kx| Some(inside(0, y, ky)? * self.size[1] + inside(1, x, kx)?))
        })
    }

    fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// Convolution with weight `[out, in / group, height, width]`.
pub(super) fn conv(node: &Node, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Computed {
    let s = Sliding::of(node, x)?;
    let groups = usize::try_from(whole(node, "group").unwrap_or(1)).unwrap_or(0);
    let &[out, depth, height, width] = &weight.shape[..] else {
        return Err("its weight is no filters".to_owned());
    };
    let fits = groups > 0
        && out % groups == 0
        && depth * groups == s.channels
        && [height, width] == s.kernel;
    if !fits {
        return Err("the filters do not fit the image".to_owned());
    }
    let (values, filters) = (floats(x)?, floats(weight)?);
    let zeros = vec![0.0; out];
    let bias = bias.map_or(Ok(zeros.as_slice()), floats)?;
    let (window, spots, area) = (height * width, s.places[0] * s.places[1], s.area());
    let patch = depth * window;
    let mut result = vec![0.0_f32; s.rows * out * spots];
    result.par_chunks_mut((out * spots).max(1)).enumerate().for_each(|(row, result)| {
        let image = values.get(row * s.channels * area..).unwrap_or(&[]);
        let mut patches = vec![0.0; patch];
        for group in 0..groups {
            for spot in 0..spots {
                let under = || s.under(spot / s.places[1], spot % s.places[1]);
                for (c, part) in patches.chunks_mut(window.max(1)).enumerate() {
                    let channel = (group * depth + c) * area;
                    for (value, at) in part.iter_mut().zip(under()) {
                        *value = at.and_then(|at| image.get(channel + at)).copied().unwrap_or(0.0);
                    }
                }
                for o in group * (out / groups)..(group + 1) * (out / groups) {
                    let filter = filters.get(o * patch..(o + 1) * patch).unwrap_or(&[]);
                    let b = bias.get(o).copied().unwrap_or(0.0);
                    if let Some(value) = result.get_mut(o * spots + spot) {
                        *value = dot(&patches, filter) + b;
                    }
                }
            }
        }
    });
    Tensor::new(vec![s.rows, out, s.places[0], s.places[1]], Data::F32(result))
}

/// Combines the values under each window; those beyond the edge do not count.
pub(super) fn pool(
    node: &Node,
    x: &Tensor,
    start: f32,
    combine: impl Fn(f32, f32) -> f32 + Sync,
    finish: impl Fn(f32, usize) -> f32 + Sync,
) -> Computed {
    let s = Sliding::of(node, x)?;
    let (values, spots, window) =
        (floats(x)?, s.places[0] * s.places[1], s.kernel[0] * s.kernel[1]);
    let mut result = vec![0.0_f32; s.rows * s.channels * spots];
    let channels = result.par_chunks_mut(spots.max(1)).zip(values.par_chunks(s.area().max(1)));
    channels.for_each(|(result, image)| {
        for (spot, value) in result.iter_mut().enumerate() {
            let under = s.under(spot / s.places[1], spot % s.places[1]);
            let seen = under.flatten().filter_map(|at| image.get(at).copied());
            *value = finish(seen.fold(start, &combine), window);
        }
    });
    let shape = vec![s.rows, s.channels, s.places[0], s.places[1]];
    Tensor::new(shape, Data::F32(result))
}

/// Mean of every channel.
pub(super) fn global_average(x: &Tensor) -> Computed {
    let &[rows, channels, height, width] = &x.shape[..] else {
        return Err("it needs images".to_owned());
    };
    let area = (height * width).max(1);
    let mean = |c: &[f32]| c.iter().sum::<f32>() / area as f32;
    let means = floats(x)?.chunks(area).map(mean).collect();
    Tensor::new(vec![rows, channels, 1, 1], Data::F32(means))
}

/// (x − mean) / √(variance + ε) · gain + shift per channel, the second dimension.
pub(super) fn batch_norm(node: &Node, x: &Tensor, rest: [&Tensor; 4]) -> Computed {
    let Some(Attribute::Float(epsilon)) = node.attribute("epsilon") else {
        return Err("the setting epsilon is missing".to_owned());
    };
    let [gain, shift, mean, variance] = rest;
    let (gain, shift) = (floats(gain)?, floats(shift)?);
    let (mean, variance) = (floats(mean)?, floats(variance)?);
    let channels = x.shape.get(1).copied().unwrap_or(0);
    let area = x.shape.get(2..).unwrap_or(&[]).iter().product::<usize>().max(1);
    if [gain, shift, mean, variance].iter().any(|p| p.len() != channels) || channels == 0 {
        return Err("it has not one of each per channel".to_owned());
    }
    let value = |(i, v): (usize, &f32)| {
        let c = i / area % channels;
        let get = |list: &[f32]| list.get(c).copied().unwrap_or(f32::NAN);
        (v - get(mean)) / (get(variance) + epsilon).sqrt() * get(gain) + get(shift)
    };
    let values = floats(x)?.iter().enumerate().map(value).collect();
    Tensor::new(x.shape.clone(), Data::F32(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::new(shape.to_vec(), Data::F32(values.to_vec())).unwrap()
    }

    fn node(settings: &[(&str, &[i64])]) -> Node {
        let attributes =
            settings.iter().map(|(n, v)| ((*n).to_owned(), Attribute::Ints(v.to_vec()))).collect();
        Node { attributes, ..Node::default() }
    }

    #[test]
    fn windows_slide_with_stride_and_padding() {
        let x = f(&[1, 1, 3, 3], &[1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        let settings = node(&[("kernel_shape", &[2, 2]), ("strides", &[2, 2]), ("pads", &[1; 4])]);
        let most = pool(&settings, &x, f32::NEG_INFINITY, f32::max, |v, _| v).unwrap();
        assert_eq!(most, f(&[1, 1, 2, 2], &[1., 3., 7., 9.]));
        let weight = f(&[1, 1, 2, 2], &[1., 10., 100., 1000.]);
        let out = conv(&settings, &x, &weight, Some(&f(&[1], &[0.5]))).unwrap();
        assert_eq!(out, f(&[1, 1, 2, 2], &[1000.5, 3200.5, 7040.5, 9865.5]));
        assert_eq!(global_average(&x).unwrap(), f(&[1, 1, 1, 1], &[5.0]));
        let large = node(&[("kernel_shape", &[9, 9])]);
        assert!(pool(&large, &x, 0.0, f32::max, |v, _| v).is_err());
    }

    #[test]
    fn groups_see_their_own_channels() {
        let x = f(&[1, 2, 1, 2], &[1., 2., 3., 4.]);
        let mut node = node(&[("kernel_shape", &[1, 1])]);
        node.attributes.push(("group".to_owned(), Attribute::Int(2)));
        let out = conv(&node, &x, &f(&[2, 1, 1, 1], &[2., 10.]), None).unwrap();
        assert_eq!(out, f(&[1, 2, 1, 2], &[2., 4., 30., 40.]));
        assert!(conv(&node, &x, &f(&[2, 2, 1, 1], &[1.; 4]), None).is_err());
    }

    #[test]
    fn channels_are_normalised_apart() {
        let node = Node {
            attributes: vec![("epsilon".to_owned(), Attribute::Float(0.0))],
            ..Node::default()
        };
        let p = |v: &[f32]| f(&[2], v);
        let rest = [&p(&[1., 2.]), &p(&[0., 1.]), &p(&[1., 3.]), &p(&[4., 1.])];
        let out = batch_norm(&node, &f(&[1, 2, 1, 2], &[3., 5., 3., 4.]), rest).unwrap();
        assert_eq!(out, f(&[1, 2, 1, 2], &[1., 2., 1., 3.]));
    }
}
