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

  /// None for any result.
  package static let none = Destinations()

  private init() {
    tensors = []
    names = []
  }

  /// `name` is what the result is called that a tensor is given for.
  ///
  /// Throws `invalidArgument` for one that is read-only, whose own elements share memory, or which
  /// shares memory with an earlier one.
  package init(_ tensors: [Tensor?], name: (Int) -> String) throws(MartletError) {
    self.tensors = tensors
    let names = tensors.enumerated().map { $1 == nil ? "" : name($0) }
    self.names = names
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
      for (other, earlier) in tensors.prefix(index).enumerated() {
        guard let earlier, earlier.overlaps(tensor) else { continue }
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
    return (0..<count).map { index in
      guard let tensor = self[index] else { return nil }
      return inputs.contains { $0.contains { $0.overlaps(tensor) } } ? nil : tensor
    }
  }

  /// The results where they are to be: each in its destination; another in a copy where it lies in
  /// memory of a destination.
  ///
  /// Throws `invalidDType` and `invalidShape` where a result does not fit its destination, and what
  /// `copy` throws.
  package func receive(
    _ results: [Value], copy: (Tensor) throws(MartletError) -> Tensor
  ) throws(MartletError) -> [Value] {
    if areNone { return results }
    for index in results.indices { try check(results[index], index) }
    // What lies in a destination must leave it before that is written.
    var results = results
    for index in results.indices {
      results[index] = try results[index].mapTensors { tensor throws(MartletError) in
        for (place, destination) in tensors.enumerated() {
          guard let destination, destination.overlaps(tensor) else { continue }
          if place == index && destination.isSameView(as: tensor) { continue }
          return try copy(tensor)
        }
        return tensor
      }
    }
    for index in results.indices {
      guard let destination = self[index], case .tensor(let tensor) = results[index] else {
        continue
      }
      if !destination.isSameView(as: tensor) { tensor.copyElements(to: destination) }
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
