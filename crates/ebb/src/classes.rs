//! Which stack is of which class of sizes.

use crate::chunks::ChunkArray;
use crate::heap::StackId;
use crate::memory::{Memory, OutOfMemory};

/// Most tables have few classes, which take no memory of their own.
const FEW: usize = 6;

/// A class, and its stack.
type Pair = (u16, StackId);

/// Invariant: the first `count` of `few` are all classes there are, where `all` has no room for any; else `all` has the stack
/// of each class, plus 1, and 0 where it has none.
#[derive(Debug)]
pub(crate) struct ClassStacks {
    few: [Pair; FEW],
    count: u16,
    /// Classes that there may be.
    classes: u16,
    all: ChunkArray<StackId>,
}

impl ClassStacks {
    /// Of classes below `classes`.
    pub(crate) const fn new(classes: u16) -> Self {
        ClassStacks { few: [(0, 0); FEW], count: 0, classes, all: ChunkArray::new() }
    }

    /// The stack of a class, if there is one. O(1).
    #[inline]
    pub(crate) fn find(&self, class: usize) -> Option<StackId> {
        if self.all.capacity() > 0 {
            return self.all.get(class).checked_sub(1);
        }
        self.few().iter().find(|&&(number, _)| usize::from(number) == class).map(|&(_, stack)| stack)
    }

    fn few(&self) -> &[Pair] {
        &self.few[..self.count.into()]
    }

    /// Have room for another class.
    pub(crate) fn reserve(&mut self, memory: &mut Memory) -> Result<(), OutOfMemory> {
        if usize::from(self.count) < FEW || self.all.capacity() > 0 {
            return Ok(());
        }
        self.all.reserve(memory, self.classes.into())?;
        for (class, stack) in self.few {
            *self.all.get_mut(class.into()) = stack + 1;
        }
        Ok(())
    }

    /// A class has a stack now. Panics where there is no room for it.
    pub(crate) fn add(&mut self, class: usize, stack: StackId) {
        if self.all.capacity() > 0 {
            *self.all.get_mut(class) = stack + 1;
        } else {
            self.few[usize::from(self.count)] = (class as u16, stack);
            self.count += 1;
        }
    }

    /// All stacks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = StackId> {
        let all =
            (0..self.all.capacity().min(self.classes.into())).filter_map(|class| self.all.get(class).checked_sub(1));
        let few = if self.all.capacity() > 0 { &[] } else { self.few() };
        few.iter().map(|&(_, stack)| stack).chain(all)
    }

    pub(crate) fn clear(&mut self, memory: &mut Memory) {
        self.all.clear(memory);
        self.count = 0;
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.all.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: u16 = 700;

    #[test]
    fn each_class_has_its_stack() {
        let (mut memory, mut stacks) = (Memory::new(), ClassStacks::new(CLASSES));
        for count in 0..3 * FEW {
            let classes = || (0..count).map(|i| i * 37 % 700);
            assert_eq!((stacks.iter().count(), stacks.bytes() > 0), (count, count > FEW));
            assert!(classes().enumerate().all(|(i, class)| stacks.find(class) == Some(i as StackId)));
            assert_eq!(stacks.find(count * 37 % 700), None);
            stacks.reserve(&mut memory).unwrap();
            stacks.add(count * 37 % 700, count as StackId);
        }
        stacks.clear(&mut memory);
        assert_eq!((stacks.iter().count(), stacks.find(37), memory.held()), (0, None, 0));
    }
}
