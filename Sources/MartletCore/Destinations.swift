/// The tensors that a caller gives for results, one for each or nil: which are taken, which may be
/// written while the work goes on, and what becomes of a result that lies in one.
///
/// The one place that decides about shared memory between what callers give, for operators called by
/// themselves and for runs of models. A destination may share memory with an input, never with another
/// destination.
package struct Destinations: Sendable {
  private let tensors: [Tensor?]
  /// What each is called in messages and in `MartletError.input`; "" where there is none.
  private let names: [String]
  private let places: MemoryOrder

  /// None for any result.
  package static let none = Destinations()

  private init() {
    tensors = []
    names = []
    places = MemoryOrder([])
  }

  /// `name` is what the result is called that a tensor is given for.
  ///
  /// Throws `invalidArgument` for one that is read-only, whose own elements share memory, or which
  /// shares memory with an earlier one.
  package init(_ tensors: [Tensor?], name: (Int) -> String) throws(MartletError) {
    self.tensors = tensors
    let names = tensors.enumerated().map { $1 == nil ? "" : name($0) }
    self.names = names
    let places = MemoryOrder(tensors)
    self.places = places
    for (index, tensor) in tensors.enumerated() {
      guard let tensor else { continue }
      func refused(_ why: String, expected: String, actual: String) -> MartletError {
        MartletError(
          .invalidArgument,
          "the tensor given for '\(names[index])' \(why), so it cannot take a result",
          input: names[index], expected: expected, actual: actual)
      }
      guard !tensor.storage.isReadOnly, tensor.dtype != .string else {
        throw refused(
          tensor.dtype == .string ? "holds strings" : "is read-only",
          expected: "a writable tensor of numbers, or none",
          actual: tensor.dtype == .string ? "strings" : "a read-only tensor")
      }
      guard !zip(tensor.shape, tensor.strides).contains(where: { $0 > 1 && $1 == 0 }) else {
        throw refused(
          "has elements that share memory", expected: "strides other than 0",
          actual: Shape.text(tensor.strides))
      }
      let shared = places.overlapping(tensor, in: tensors).filter { $0 < index }
      if let other = shared.min() {
        throw refused(
          "shares memory with that for '\(names[other])'", expected: "memory of its own",
          actual: "memory of '\(names[other])'")
      }
    }
  }

  package var areNone: Bool { !tensors.contains { $0 != nil } }

  /// That of result `index`, or nil.
  package subscript(index: Int) -> Tensor? { index < tensors.count ? tensors[index] : nil }

  /// For `count` results, the destinations that work on these values may write as it goes: not those
  /// that share memory with one of them, which may still be read. Empty where there are none.
  package func writable(reading inputs: [Value], count: Int) -> [Tensor?] {
    if areNone { return [] }
    var writable = (0..<count).map { self[$0] }
    for input in inputs {
      input.forEachTensor { tensor in
        for place in places.overlapping(tensor, in: tensors) where place < count {
          writable[place] = nil
        }
      }
    }
    return writable
  }

  /// The results where they are to be: each in its destination; another in a copy where it lies in
  /// memory of a destination.
  ///
  /// Throws `invalidDType` and `invalidShape` where a result does not fit its destination, and what
  /// `copy` throws.
  package func receive(
    _ results: [Value], on pool: ThreadPool? = nil,
    copy: (Tensor) throws(MartletError) -> Tensor
  ) throws(MartletError) -> [Value] {
    if areNone { return results }
    for index in results.indices { try check(results[index], index) }
    // What lies in a destination must leave it before that is written.
    var results = results
    for index in results.indices {
      results[index] = try results[index].mapTensors { tensor throws(MartletError) in
        let isLeft = places.overlapping(tensor, in: tensors).allSatisfy { place in
          place == index && tensors[place]?.isSameView(as: tensor) == true
        }
        return isLeft ? tensor : try copy(tensor)
      }
    }
    for index in results.indices {
      guard let destination = self[index], case .tensor(let tensor) = results[index] else {
        continue
      }
      if !destination.isSameView(as: tensor) { tensor.copyElements(to: destination, on: pool) }
      results[index] = .tensor(destination)
    }
    return results
  }

  private func check(_ result: Value, _ index: Int) throws(MartletError) {
    guard let destination = self[index] else { return }
    if case .tensor(let tensor) = result, tensor.dtype == destination.dtype,
      tensor.shape == destination.shape
    {
      return
    }
    let given = "\(destination.dtype)\(Shape.text(destination.shape))"
    let isDType = result.tensor.map { $0.dtype != destination.dtype } ?? true
    throw MartletError(
      isDType ? .invalidDType : .invalidShape,
      "'\(names[index])' is \(result.summary), but the tensor given for it is \(given)",
      input: names[index], expected: result.summary, actual: given)
  }
}

/// Where tensors lie, in order of their addresses, so that each need not be held against each.
private struct MemoryOrder: Sendable {
  /// The positions of those that have memory, by where it begins.
  private let positions: [Int]
  private let ranges: [Range<UInt>]
  /// Where the memory of any up to each of them ends at the latest.
  private let ends: [UInt]

  init(_ tensors: [Tensor?]) {
    var places: [(position: Int, range: Range<UInt>)] = []
    for (position, tensor) in tensors.enumerated() {
      if let range = tensor?.addressRange { places.append((position, range)) }
    }
    if places.count > 1 { places.sort { $0.range.lowerBound < $1.range.lowerBound } }
    positions = places.map(\.position)
    ranges = places.map(\.range)
    var end: UInt = 0
    ends = ranges.map { range in
      end = max(end, range.upperBound)
      return end
    }
  }

  /// The positions of `tensors`, of which this was made, that share memory with `tensor`, it among
  /// them if it is one.
  func overlapping(_ tensor: Tensor, in tensors: [Tensor?]) -> [Int] {
    guard !positions.isEmpty, let range = tensor.addressRange else { return [] }
    // The first that begins behind the tensor's end.
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].lowerBound < range.upperBound { low = middle + 1 } else { high = middle }
    }
    var found: [Int] = []
    while low > 0, ends[low - 1] > range.lowerBound {
      low -= 1
      if tensors[positions[low]]?.overlaps(tensor) == true { found.append(positions[low]) }
    }
    return found
  }
}

extension Tensor {
  /// Whether an element of one may share memory with an element of the other. Never false where one
  /// does; true, besides, where the two are so interleaved that rows of bytes do not tell them apart.
  package func overlaps(_ other: Tensor) -> Bool {
    guard let mine = addressRange, let theirs = other.addressRange, mine.overlaps(theirs) else {
      return false
    }
    if isContiguous && other.isContiguous { return true }
    // Both are runs of bytes at distances that are multiples of `step`: do they meet within one?
    let (a, b) = (runs, other.runs)
    let step = Tensor.greatestDivisor(a.steps + b.steps)
    guard step > 0 else { return true }
    let distance = theirs.lowerBound &- mine.lowerBound
    let shift =
      theirs.lowerBound >= mine.lowerBound
      ? Int(distance % UInt(step)) : (step - Int((0 &- distance) % UInt(step))) % step
    return shift < a.bytes || shift + b.bytes > step
  }

  /// The tensor as runs of neighbouring bytes, at sums of multiples of `steps`. Not for packed ones.
  private var runs: (bytes: Int, steps: [Int]) {
    var bytes = dtype.isPacked ? byteCount : dtype.wholeByteCount
    var steps: [Int] = []
    guard !dtype.isPacked else { return (bytes, []) }
    let axes = zip(shape, strides).filter { $0.0 > 1 }.map {
      (extent: $0.0, step: abs($0.1) * dtype.wholeByteCount)
    }
    for axis in axes.sorted(by: { $0.step < $1.step }) {
      if steps.isEmpty && axis.step <= bytes {
        bytes += (axis.extent - 1) * axis.step
      } else {
        steps.append(axis.step)
      }
    }
    return (bytes, steps)
  }

  private static func greatestDivisor(_ numbers: [Int]) -> Int {
    numbers.reduce(0) { a, b in
      var (a, b) = (a, b)
      while b != 0 { (a, b) = (b, a % b) }
      return a
    }
  }
}
