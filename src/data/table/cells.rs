//! The text of a column's cells, in pieces: a long table is read in several parts side by side, and
//! the pieces are kept as they are instead of being copied into one.

/// Most bytes of a piece, so that four bytes tell where a cell ends.
const MOST: usize = 1 << 30;
/// Cells below which a piece is copied to the end of the one before.
const FEW: usize = 1 << 12;
/// Rows between those whose piece is kept in mind.
const STEP: usize = 1 << 12;

/// Cells one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Piece {
    bytes: String,
    /// Where each cell ends.
    ends: Vec<u32>,
}

impl Piece {
    /// Cells of `bytes`; `ends` grow and lie between its characters, the last one at its end.
    pub(crate) fn new(bytes: String, ends: Vec<u32>) -> Self {
        Self { bytes, ends }
    }

    fn cell(&self, at: usize) -> &str {
        let Some(&end) = self.ends.get(at) else { return "" };
        let start = at.checked_sub(1).and_then(|b| self.ends.get(b)).map_or(0, |s| *s as usize);
        self.bytes.get(start..end as usize).unwrap_or("")
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let cell = self.bytes.get(start..end as usize).unwrap_or("");
            start = end as usize;
            cell
        })
    }

    fn push(&mut self, cell: &str) {
        self.bytes.push_str(cell);
        self.ends.push(self.bytes.len() as u32);
    }
}

/// All cells of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells {
    pieces: Vec<Piece>,
    /// First row of each piece.
    starts: Vec<usize>,
    /// Piece of every [`STEP`]-th row.
    places: Vec<u32>,
}

impl Cells {
    pub(crate) fn len(&self) -> usize {
        let last = self.pieces.last().map_or(0, |p| p.ends.len());
        self.starts.last().map_or(0, |s| s + last)
    }

    /// Bytes of all cells.
    pub(crate) fn bytes(&self) -> usize {
        self.pieces.iter().map(|p| p.bytes.len()).sum()
    }

    pub(crate) fn push(&mut self, cell: &str) {
        match self.pieces.last_mut() {
            Some(last) if last.bytes.len() + cell.len() <= MOST => {
                last.push(cell);
                self.note_places();
            }
            _ => {
                let mut piece = Piece::default();
                piece.push(cell);
                self.add(piece);
            }
        }
    }

    /// Makes room for cells.
    pub(crate) fn reserve(&mut self, cells: usize, bytes: usize) {
        if self.pieces.is_empty() {
            self.starts.push(0);
            self.pieces.push(Piece::default());
        }
        if let Some(last) = self.pieces.last_mut() {
            last.ends.reserve(cells);
            last.bytes.reserve(bytes.min(MOST));
        }
    }

    /// Appends a piece: a small one is copied, so that there are never many.
    pub(crate) fn add(&mut self, piece: Piece) {
        if piece.ends.is_empty() {
            return;
        }
        match self.pieces.last_mut() {
            Some(last)
                if last.ends.is_empty()
                    || (piece.ends.len() < FEW && last.bytes.len() + piece.bytes.len() <= MOST) =>
            {
                if last.ends.is_empty() {
                    *last = piece;
                } else {
                    let shift = last.bytes.len() as u32;
                    last.bytes.push_str(&piece.bytes);
                    last.ends.extend(piece.ends.iter().map(|e| e + shift));
                }
            }
            _ => {
                self.starts.push(self.len());
                self.pieces.push(piece);
            }
        }
        self.note_places();
    }

    fn note_places(&mut self) {
        let len = self.len();
        while self.places.len() * STEP < len {
            let row = self.places.len() * STEP;
            self.places.push(self.starts.partition_point(|s| *s <= row).saturating_sub(1) as u32);
        }
    }

    /// Appends all cells of `other`, which is not kept.
    pub(crate) fn adopt(&mut self, other: Self) {
        other.pieces.into_iter().for_each(|p| self.add(p));
    }

    /// Appends all cells of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        other.pieces.iter().for_each(|p| self.add(p.clone()));
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        let whole = self.starts.partition_point(|s| *s < len);
        self.pieces.truncate(whole);
        self.starts.truncate(whole);
        self.places.truncate(len.div_ceil(STEP));
        if let (Some(last), Some(start)) = (self.pieces.last_mut(), self.starts.last()) {
            last.ends.truncate(len - start);
            last.bytes.truncate(last.ends.last().map_or(0, |e| *e as usize));
        }
    }

    /// Frees what growing left over.
    pub(crate) fn shrink(&mut self) {
        for piece in &mut self.pieces {
            piece.bytes.shrink_to_fit();
            piece.ends.shrink_to_fit();
        }
    }

    /// The cell of a row; empty past the end.
    pub(crate) fn get(&self, row: usize) -> &str {
        if let [one] = self.pieces.as_slice() {
            return one.cell(row);
        }
        let Some(place) = self.places.get(row / STEP) else { return "" };
        let mut at = *place as usize;
        // Pieces are hardly ever shorter than the step.
        while self.starts.get(at + 1).is_some_and(|next| *next <= row) {
            at += 1;
        }
        match (self.pieces.get(at), self.starts.get(at)) {
            (Some(piece), Some(start)) => piece.cell(row - start),
            _ => "",
        }
    }

    /// All cells in order, faster than one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().flat_map(Piece::cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(range: std::ops::Range<usize>) -> Piece {
        let mut piece = Piece::default();
        range.for_each(|i| piece.push(&cell(i)));
        piece
    }

    fn cell(i: usize) -> String {
        "é".repeat(i % 5) + &i.to_string()
    }

    #[test]
    fn cells_are_found_however_they_were_joined() {
        for sizes in [
            vec![50_000],
            vec![1, FEW, 1, FEW - 1, FEW * 3],
            vec![700; 8],
            vec![FEW; 9],
            vec![0, 5, 0],
        ] {
            let (mut next, mut all) = (0, Cells::default());
            for size in sizes {
                all.add(piece(next..next + size));
                next += size;
            }
            all.push("last");
            all.push("");
            assert_eq!(all.len(), next + 2);
            (0..next).for_each(|i| assert_eq!(all.get(i), cell(i)));
            assert!((0..all.len()).map(|i| all.get(i)).eq(all.iter()));
            assert_eq!((all.get(next), all.get(next + 1), all.get(next + 2)), ("last", "", ""));
            let mut twice = all.clone();
            twice.append(&all);
            assert!(twice.iter().eq(all.iter().chain(all.iter())));
            assert_eq!(twice.bytes(), 2 * all.bytes());
        }
    }

    #[test]
    fn cells_are_cut_off_at_any_length() {
        for len in [0, 1, FEW - 1, FEW, FEW + 1, 2 * FEW, 3 * FEW - 1, 3 * FEW, 4 * FEW] {
            let mut cells = Cells::default();
            (0..3).for_each(|i| cells.add(piece(i * FEW..(i + 1) * FEW)));
            cells.truncate(len);
            let left = len.min(3 * FEW);
            assert_eq!(cells.len(), left);
            cells.push("next");
            assert_eq!((cells.get(left), cells.len()), ("next", left + 1));
            (0..left).for_each(|i| assert_eq!(cells.get(i), cell(i)));
        }
    }
}
