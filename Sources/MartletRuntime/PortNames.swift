import MartletCore

/// The inputs or the outputs of a model by name: the one place where names become positions.
package struct PortNames: Sendable {
  /// In the model's order.
  package let all: [String]
  /// "input" or "output".
  private let kind: String
  /// The first port of each name; a model may list an output twice.
  private let first: [String: Int]
  /// For each port the next of the same name, or the number of ports.
  private let following: [Int]

  init(_ names: [String], _ kind: String) {
    all = names
    self.kind = kind
    var (first, following) = ([String: Int](), [Int](repeating: names.count, count: names.count))
    for (position, name) in names.enumerated().reversed() {
      following[position] = first.updateValue(position, forKey: name) ?? names.count
    }
    (self.first, self.following) = (first, following)
  }

  /// The position of each of these names, which may be fewer than the model's.
  ///
  /// Throws `notFound` for a name that the model does not have, `invalidArgument` for one that is given
  /// more often than the model lists it.
  package func positions(of names: [String]) throws(MartletError) -> [Int] {
    // As most callers give them.
    if names == all { return Array(all.indices) }
    var positions: [Int] = []
    var next = first
    for name in names {
      guard let position = next[name] else {
        throw MartletError(
          .notFound, "the model has no \(kind) '\(name)'; its \(kind)s are \(list(all))",
          input: name,
          expected: list(all), actual: name)
      }
      guard position < all.count else {
        throw MartletError(
          .invalidArgument, "\(kind) '\(name)' is given more than once", input: name,
          expected: "each \(kind) once", actual: "'\(name)' again")
      }
      next[name] = following[position]
      positions.append(position)
    }
    return positions
  }

  /// Values that are given by name, in the model's order: all of them.
  ///
  /// Throws what `positions` throws, and `invalidArgument` for what is missing.
  package func ordered<Value>(_ values: [Value], named names: [String]) throws(MartletError)
    -> [Value]
  {
    if names == all, values.count == all.count { return values }
    var ordered = [Value?](repeating: nil, count: all.count)
    for (position, value) in zip(try positions(of: names), values) { ordered[position] = value }
    var whole: [Value] = []
    whole.reserveCapacity(all.count)
    for value in ordered {
      guard let value else { throw missing(ordered.map { $0 == nil }, names) }
      whole.append(value)
    }
    return whole
  }

  private func missing(_ isMissing: [Bool], _ names: [String]) -> MartletError {
    let missing = all.indices.filter { isMissing[$0] }.map { all[$0] }
    return MartletError(
      .invalidArgument,
      "missing \(kind) \(list(missing)); the model's \(kind)s are \(list(all))",
      input: missing.first, expected: list(all), actual: list(names))
  }

  private func list(_ names: [String]) -> String {
    names.isEmpty ? "none" : names.map { "'\($0)'" }.joined(separator: ", ")
  }
}
