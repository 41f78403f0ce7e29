//! Slabs: a page, or some in a row, divided into pieces of one size.

/// Sizes of pieces: they fill a slab well, as none leaves more than a sixteenth of it.
pub(crate) const PIECES: [usize; 23] = [
    64, 128, 192, 256, 320, 384, 448, 512, 576, 640, 704, 768, 896, 1024, 1152, 1344, 1472, 1600, 1792, 2048, 2304,
    2688, 3264,
];
/// How many sizes there are.
pub(super) const CLASSES: usize = PIECES.len();
/// Bytes of a page.
pub(super) const PAGE: usize = crate::system::OS_PAGE;

/// The class of the smallest pieces of at least so many bytes, which have at most [`LARGEST`].
pub(super) fn class_of(bytes: usize) -> usize {
    PIECES.partition_point(|&size| size < bytes)
}

/// Bytes of a piece of so many bytes or more; [`PAGE`] where it is too large for a piece.
pub(crate) fn piece_bytes(bytes: usize) -> usize {
    PIECES.get(class_of(bytes)).copied().unwrap_or(PAGE)
}

/// No slab.
pub(super) const NONE: u32 = u32::MAX;

/// Pages of a slab of pieces that don't fill one well.
const SEVERAL: usize = 4;

/// Bytes of a slab of this class.
pub(super) const fn slab_bytes(class: usize) -> usize {
    if PAGE % PIECES[class] <= PAGE / 16 { PAGE } else { SEVERAL * PAGE }
}

/// What is known of a slab.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slab {
    /// The pieces that are free, a bit each.
    free: u64,
    pub(super) class: u8,
    /// The slabs of pieces of this size with room, before and after this one: one that is full is in no list.
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Slab {
    /// A slab of which all pieces are free.
    pub(super) fn new(class: usize) -> Self {
        Slab { free: all(class), class: class as u8, previous: NONE, next: NONE }
    }

    pub(super) fn is_full(&self) -> bool {
        self.free == 0
    }

    /// Whether all pieces but one are used.
    pub(super) fn was_full(&self) -> bool {
        self.free.is_power_of_two()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free == all(self.class as usize)
    }

    /// Take a piece: where in the slab it is, and its size. Panics where none is free.
    pub(super) fn take(&mut self) -> (usize, usize) {
        assert!(self.free != 0, "a slab with room");
        let piece = self.free.trailing_zeros() as usize;
        self.free &= self.free - 1;
        let size = PIECES[self.class as usize];
        (piece * size, size)
    }

    /// Give a piece of so many bytes back. Panics where there is none such, or it is free.
    pub(super) fn put(&mut self, at: usize, bytes: usize) {
        let size = PIECES[self.class as usize];
        let bit = 1 << (at / size);
        assert!(
            bytes == size && at.is_multiple_of(size) && at + size <= slab_bytes(self.class as usize),
            "a piece of this slab"
        );
        assert!(self.free & bit == 0, "a piece is given back once");
        self.free |= bit;
    }
}

/// All pieces of a slab of this class.
fn all(class: usize) -> u64 {
    u64::MAX >> (u64::BITS as usize - slab_bytes(class) / PIECES[class])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The unit of sizes of pieces; each begins on a multiple of it.
    const UNIT: usize = 64;

    #[test]
    fn pieces_fill_a_slab_well_and_requests_fill_pieces() {
        for (class, size) in PIECES.into_iter().enumerate() {
            let bytes = slab_bytes(class);
            assert!(size % UNIT == 0 && bytes % size <= bytes / 16 && bytes / size <= u64::BITS as usize, "{size}");
        }
        for bytes in 1..=PAGE {
            let piece = piece_bytes(bytes);
            assert!(piece >= bytes && (bytes <= UNIT || piece <= 2 * bytes), "{bytes}: {piece}");
        }
    }

    #[test]
    fn each_piece_is_taken_once() {
        for (class, size) in PIECES.into_iter().enumerate() {
            let mut slab = Slab::new(class);
            let mut at = Vec::new();
            while !slab.is_full() {
                at.push(slab.take().0);
            }
            assert!(at.windows(2).all(|pair| pair[1] == pair[0] + size));
            assert!(at.last().unwrap() + size <= slab_bytes(class));
            at.iter().for_each(|&at| slab.put(at, size));
            assert!(slab.is_empty());
        }
    }

    #[test]
    #[should_panic(expected = "given back once")]
    fn a_piece_is_not_given_back_twice() {
        let mut slab = Slab::new(0);
        let (at, bytes) = slab.take();
        slab.put(at, bytes);
        slab.put(at, bytes);
    }
}
