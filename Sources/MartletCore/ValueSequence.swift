import Glibc
import Synchronization

/// The elements of a sequence: immutable, shared by the values that hold it.
///
/// A sequence that has one more element than another may share its memory: a loop that appends to a
/// sequence in each iteration copies it as often as it doubles.
package final class ValueSequence: Sendable {
  /// The element type of the tensors in it; nil where an empty sequence does not say.
  package let dtype: DType?
  package let elements: Elements
  /// Whether all elements are tensors of `dtype`.
  package let isPlain: Bool
  let depth: Int
  let tensorCount: Int
  /// Whether it is known that nothing in it lies in an arena.
  private let isSettled: Atomic<Bool>

  /// What the list counts for in the run that made it is `claim`; nil: nothing.
  ///
  /// Throws `outOfMemory`.
  package init(
    _ elements: [Value], dtype: DType? = nil, _ claim: MemoryClaim? = nil
  ) throws(MartletError) {
    let dtype = dtype ?? elements.first?.tensor?.dtype
    self.dtype = dtype
    self.elements = Elements(
      memory: try ElementMemory(copying: elements, capacity: elements.count, claim),
      count: elements.count)
    isPlain = elements.allSatisfy { $0.isTensor(of: dtype) }
    (depth, tensorCount) = Value.extent(of: elements)
    isSettled = Atomic(elements.isEmpty)
  }

  /// `base` with one more element behind the others.
  private init(_ base: ValueSequence, _ element: Value, _ elements: Elements) {
    let dtype = base.dtype ?? element.tensor?.dtype
    self.dtype = dtype
    self.elements = elements
    isPlain = base.isPlain && element.isTensor(of: dtype)
    depth = max(base.depth, element.depth + 1)
    let (sum, overflow) = base.tensorCount.addingReportingOverflow(element.tensorCount)
    tensorCount = overflow ? .max : sum
    isSettled = Atomic(base.isSettled.load(ordering: .relaxed) && !element.liesInArena)
  }

  /// The sequence with one more element behind the others, whose list counts against `allowance`.
  ///
  /// Throws `outOfMemory` and `limitExceeded`.
  package func appending(
    _ element: Value, _ allowance: RunAllowance? = nil
  ) throws(MartletError) -> ValueSequence {
    let count = elements.count
    if elements.memory.append(element, behind: count) {
      return ValueSequence(self, element, Elements(memory: elements.memory, count: count + 1))
    }
    let capacity = 2 * max(count, 2)
    let claim = try MemoryClaim.of(bytes: capacity * MemoryLayout<Value>.stride, allowance)
    let memory = try ElementMemory(copying: elements, capacity: capacity, claim)
    guard memory.append(element, behind: count) else {
      throw MartletError(.internalError, "a sequence has no place for one more element")
    }
    return ValueSequence(self, element, Elements(memory: memory, count: count + 1))
  }

  var liesInArena: Bool {
    if isSettled.load(ordering: .relaxed) { return false }
    if elements.contains(where: { $0.liesInArena }) { return true }
    isSettled.store(true, ordering: .relaxed)
    return false
  }

  var claim: MemoryClaim? { elements.memory.claim }
}

extension ValueSequence {
  /// The elements in order.
  package struct Elements: RandomAccessCollection, Sendable {
    fileprivate let memory: ElementMemory
    package let count: Int

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    /// The callers ask within `indices`: operators and C check a position before.
    package subscript(index: Int) -> Value {
      precondition(index >= 0 && index < count, "an element outside its sequence")
      return memory.base[index]
    }
  }
}

/// Memory for elements, of which the first `filled` are there and never change.
///
/// @unchecked Sendable: an element is written once, by whoever has moved `filled` past it, before
/// anybody else is told of it.
private final class ElementMemory: @unchecked Sendable {
  let base: UnsafeMutablePointer<Value>
  let claim: MemoryClaim?
  private let capacity: Int
  private let filled: Atomic<Int>

  init<Source: Collection>(
    copying elements: Source, capacity: Int, _ claim: MemoryClaim?
  ) throws(MartletError) where Source.Element == Value {
    let (bytes, overflow) = capacity.multipliedReportingOverflow(by: MemoryLayout<Value>.stride)
    guard !overflow, let block = Storage.block(byteCount: bytes) else {
      throw MartletError(
        .outOfMemory, "no memory for a sequence of \(capacity) elements",
        actual: "\(capacity) elements")
    }
    base = block.bindMemory(to: Value.self, capacity: capacity)
    self.capacity = capacity
    self.claim = claim
    var count = 0
    for element in elements.prefix(capacity) {
      (base + count).initialize(to: element)
      count += 1
    }
    filled = Atomic(count)
  }

  /// Writes an element behind the first `count`; false where there is one already, or no room.
  func append(_ element: Value, behind count: Int) -> Bool {
    guard count < capacity,
      filled.compareExchange(expected: count, desired: count + 1, ordering: .relaxed).exchanged
    else { return false }
    (base + count).initialize(to: element)
    return true
  }

  deinit {
    base.deinitialize(count: filled.load(ordering: .acquiring))
    free(base)
  }
}

extension Value {
  /// Whether it is a tensor of this dtype.
  fileprivate func isTensor(of dtype: DType?) -> Bool {
    if case .tensor(let tensor) = self { tensor.dtype == dtype } else { false }
  }
}
