//! Makes batches ahead of the engine, on a thread of its own.
//!
//! While the engine computes, the loader gathers the rows of the next batches and changes images as
//! [`Augmentation`] says, so the engine finds them ready. Batches come in the order of the run and
//! are functions of its seed, so neither the thread nor how far it is ahead can be seen in them.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};

use super::Augmentation;
use super::order::{BlockOrder, epoch_order};
use super::private::{Chance, Source as Random};
use super::worker::spawn_task;
use crate::data::Encoded;
use crate::engine::Batch;
use crate::error::TrainError;
use crate::eval;
use crate::model::ImageShape;

/// Bytes of batches that wait for the engine, about.
const AHEAD_BYTES: usize = 32 << 20;
/// Fewest and most batches that wait.
const AHEAD: std::ops::RangeInclusive<usize> = 2..=256;

/// What batches are made of.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Training rows.
    pub data: Arc<Encoded>,
    /// What every row counts; `None` for all alike.
    pub weights: Option<Arc<Vec<f32>>>,
    /// What every row is learned as, where that is not its own class.
    pub targets: Option<Arc<Vec<u32>>>,
    /// Size and, per channel, black and white, where rows are images.
    pub images: Option<(ImageShape, Vec<[f32; 2]>)>,
    /// What is done to images.
    pub augmentation: Augmentation,
    /// Seed of the run.
    pub seed: u64,
    /// Rows of a batch.
    pub batch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Chance of every row to be in a batch, where chance and not the order of the run decides.
    pub rate: Option<f64>,
}

impl Source {
    /// The rows of an epoch in the order in which they are visited, from batch `number` on.
    fn order(&self, epoch: usize, number: usize) -> Order {
        let data = &self.data;
        let mut order = if self.rate.is_some() {
            Order::Memory(Vec::new().into_iter())
        } else if data.dense.in_file() || data.categories.in_file() {
            let row = 4 * (data.dense_width + data.category_width);
            Order::Blocks(BlockOrder::new(data.rows, row, self.seed, epoch))
        } else {
            Order::Memory(epoch_order(data.rows, self.seed, epoch).into_iter())
        };
        // The first rows are asked for before they are taken.
        self.want(&order);
        for _ in 0..number * self.batch.max(1) {
            order.next();
        }
        order
    }

    /// Asks for the rows on the disk that come after those in work.
    fn want(&self, order: &Order) {
        if let Order::Blocks(order) = order {
            let (dense, categories) = (self.data.dense_width, self.data.category_width);
            for rows in order.coming() {
                self.data.dense.want(rows.start * dense..rows.end * dense);
                self.data.categories.want(rows.start * categories..rows.end * categories);
            }
        }
    }

    /// Fills `batch` with these rows.
    fn fill_rows(&self, batch: &mut Batch, epoch: usize, rows: &[u32]) {
        eval::fill_batch(batch, &self.data, rows.iter().map(|&r| r as usize));
        if let Some(weights) = &self.weights {
            let of = |row: &u32| weights.get(*row as usize).copied().unwrap_or(1.0);
            batch.weights.iter_mut().zip(rows).for_each(|(weight, row)| *weight = of(row));
        }
        if let Some(targets) = &self.targets {
            let of = |row: &u32| targets.get(*row as usize).copied();
            batch.targets.iter_mut().zip(rows).for_each(|(to, row)| *to = of(row).unwrap_or(*to));
        }
        let Some((shape, levels)) = &self.images else { return };
        if self.augmentation.is_nothing() {
            return;
        }
        let width = self.data.dense_width.max(1);
        let seed = (self.seed ^ (self.seed >> 32)) as u32;
        for (out, &row) in batch.dense.chunks_exact_mut(width).zip(rows) {
            let start = row as usize * width;
            if let Some(image) = self.data.dense.get(start..start + width) {
                let of = (seed, epoch as u32, row);
                self.augmentation.apply(image, (*shape, levels), of, out);
            }
        }
    }

    /// Batches that may wait.
    fn ahead(&self) -> usize {
        let row = 4 * (self.data.dense_width + self.data.category_width + 2);
        let bytes = (row * self.batch).max(1);
        (AHEAD_BYTES / bytes).clamp(*AHEAD.start(), *AHEAD.end())
    }
}

/// The order of an epoch's rows, in memory or on the disk.
enum Order {
    Memory(std::vec::IntoIter<u32>),
    Blocks(BlockOrder),
}

impl Order {
    /// Rows before others have to be read.
    fn left(&self) -> usize {
        match self {
            Self::Memory(_) => usize::MAX,
            Self::Blocks(order) => order.left(),
        }
    }
}

impl Iterator for Order {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::Memory(order) => order.next(),
            Self::Blocks(order) => order.next(),
        }
    }
}

/// Batches as they become ready. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Loader {
    ready: Receiver<Batch>,
    used: Sender<Batch>,
}

impl Loader {
    /// Starts with batch `at.1` of epoch `at.0`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(source: Source, at: (usize, usize)) -> Result<Self, TrainError> {
        let ahead = source.ahead();
        let (sender, ready) = bounded(ahead);
        let (used, free) = bounded::<Batch>(ahead);
        spawn_task("loader", move || {
            let per_epoch = source.data.rows.div_ceil(source.batch.max(1));
            source.data.dense.in_any_order();
            source.data.categories.in_any_order();
            let mut first = at.1;
            let mut chance = Chance::new(Random::System);
            for epoch in at.0..source.epochs {
                let mut order = source.order(epoch, first);
                let (mut rows, mut left) = (Vec::with_capacity(source.batch), 0);
                for _ in first..per_epoch {
                    let mut batch = free.try_recv().unwrap_or_default();
                    match source.rate {
                        None => {
                            rows.clear();
                            rows.extend(order.by_ref().take(source.batch.max(1)));
                            if order.left() > left {
                                source.want(&order);
                            }
                            left = order.left();
                            source.fill_rows(&mut batch, epoch, &rows);
                        }
                        Some(rate) => {
                            let Ok(lot) = chance.lot(source.data.rows, rate) else { return };
                            source.fill_rows(&mut batch, epoch, &lot);
                        }
                    }
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
                first = 0;
            }
        })?;
        Ok(Self { ready, used })
    }

    /// Puts the next batch into `batch`, whose memory is used again.
    ///
    /// # Errors
    /// There are no more batches.
    pub fn next(&self, batch: &mut Batch) -> Result<(), TrainError> {
        let next = self.ready.recv().map_err(|_| TrainError::Checkpoint {
            what: "the thread that prepares the training rows ended too early".to_owned(),
            path: PathBuf::new(),
        })?;
        let old = std::mem::replace(batch, next);
        // Where as many wait already, this one is not needed.
        let _ = self.used.try_send(old);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TargetData;

    fn source(augmentation: Augmentation) -> Source {
        let (rows, shape) = (23, ImageShape { height: 3, width: 4, channels: 2 });
        let width = shape.len();
        let data = Encoded {
            rows,
            dense: (0..rows * width).map(|i| i as f32 * 0.01).collect(),
            dense_width: width,
            categories: Vec::new().into(),
            category_width: 0,
            target: TargetData::Classes((0..rows as u32).collect()),
            unknown: Vec::new(),
        };
        let images = Some((shape, vec![[0.0, 5.0]; 2]));
        Source {
            data: Arc::new(data),
            weights: None,
            targets: None,
            images,
            augmentation,
            seed: 9,
            batch: 5,
            epochs: 3,
            rate: None,
        }
    }

    fn all(source: &Source, at: (usize, usize)) -> Vec<Batch> {
        let loader = Loader::start(source.clone(), at).unwrap();
        let mut list = Vec::new();
        let mut batch = Batch::default();
        while loader.next(&mut batch).is_ok() {
            list.push(batch.clone());
        }
        list
    }

    fn content(batch: &Batch) -> (usize, &[f32], &[u32]) {
        (batch.rows, &batch.dense, &batch.targets)
    }

    #[test]
    fn batches_come_in_the_order_of_the_run() {
        let source = source(Augmentation::default());
        let batches = all(&source, (0, 0));
        assert_eq!(batches.len(), 15);
        for (i, batch) in batches.iter().enumerate() {
            let (epoch, number) = (i / 5, i % 5);
            let order = epoch_order(23, 9, epoch);
            let rows = &order[number * 5..(number * 5 + 5).min(23)];
            assert_eq!(batch.targets, rows);
            for (row, dense) in rows.iter().zip(batch.dense.chunks_exact(24)) {
                assert_eq!(dense, &source.data.dense[*row as usize * 24..][..24]);
            }
        }
        assert_eq!(batches[4].rows, 3);
    }

    #[test]
    fn rows_keep_their_weights() {
        let weights = (0..23).map(|row| row as f32 * 0.5).collect();
        let source = Source { weights: Some(Arc::new(weights)), ..source(Augmentation::default()) };
        for batch in all(&source, (0, 0)) {
            let of: Vec<f32> = batch.targets.iter().map(|row| *row as f32 * 0.5).collect();
            assert_eq!(batch.weights, of);
        }
    }

    #[test]
    fn a_resumed_run_sees_the_same_images() {
        let source = source(Augmentation { flip: true, rotation: 20.0, ..Default::default() });
        let whole = all(&source, (0, 0));
        for at in [(0, 0), (1, 3), (2, 4)] {
            let rest = all(&source, at);
            assert_eq!(rest.len(), 15 - 5 * at.0 - at.1);
            for (a, b) in rest.iter().zip(&whole[5 * at.0 + at.1..]) {
                assert_eq!(content(a), content(b));
            }
        }
        // Another seed and another epoch change images in other ways.
        let plain =
            all(&Source { augmentation: Augmentation::default(), ..source.clone() }, (0, 0));
        assert!(whole.iter().zip(&plain).any(|(a, b)| a.dense != b.dense));
        assert!(whole.iter().zip(&plain).all(|(a, b)| a.targets == b.targets));
    }

    #[test]
    fn batches_are_ready_before_they_are_asked_for_and_dropping_ends_the_thread() {
        let source = source(Augmentation::default());
        let data = Arc::clone(&source.data);
        let loader = Loader::start(source, (0, 0)).unwrap();
        while !loader.ready.is_full() && loader.ready.len() < 15 {
            std::thread::yield_now();
        }
        let ready = loader.ready.clone();
        drop(loader);
        drop(ready);
        while Arc::strong_count(&data) > 1 {
            std::thread::yield_now();
        }
    }
}
