import MartletBackends
import MartletCore

/// Symbolic shape arithmetic that the operators' `infer` share.
package enum Inference {
  /// The longest integer vector that is followed element by element.
  package static let elementLimit = 64

  /// The common dimensions of two shapes under broadcasting; nil where a rank is unknown. Throws
  /// where two known extents can never broadcast.
  package static func broadcast(
    _ a: [Dimension]?, _ b: [Dimension]?, operatorName: String
  ) throws(MartletError) -> [Dimension]? {
    guard let a, let b else { return nil }
    let rank = max(a.count, b.count)
    var result: [Dimension] = []
    for axis in 0..<rank {
      let x = axis < rank - a.count ? .known(1) : a[axis - (rank - a.count)]
      let y = axis < rank - b.count ? .known(1) : b[axis - (rank - b.count)]
      switch (x, y) {
      case (.known(1), _): result.append(y)
      case (_, .known(1)): result.append(x)
      case (.known(let m), .known(let n)) where m != n:
        throw .shape(
          operatorName, "inputs do not broadcast",
          expected: "a shape that broadcasts with \(text(a))", actual: text(b))
      case (.known, _): result.append(x)
      case (_, .known): result.append(y)
      default: result.append(x == y ? x : .unknown)
      }
    }
    return result
  }

  /// `[2, batch, ?]`.
  package static func text(_ shape: [Dimension]) -> String {
    "[" + shape.map(\.description).joined(separator: ", ") + "]"
  }

  /// The number of elements, as far as it is known.
  package static func count(_ shape: [Dimension]?) -> Int? {
    guard let shape else { return nil }
    var product = 1
    for dimension in shape {
      guard case .known(let extent) = dimension else { return nil }
      let (next, overflow) = product.multipliedReportingOverflow(by: extent)
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// A shape from computed elements: negative extents, which no shape has, become unknown.
  package static func shape(from elements: [Dimension]) -> [Dimension] {
    elements.map { if case .known(let value) = $0, value < 0 { .unknown } else { $0 } }
  }

  /// A vector's shape, if its length is known.
  package static func vector(_ count: Int) -> [Dimension] { [.known(count)] }

  package static func unknownShape(rank: Int) -> [Dimension] {
    [Dimension](repeating: .unknown, count: rank)
  }

  /// A shape with as many extents as the vector `list` has elements: nil where that is not known, or
  /// more than any tensor has.
  static func unknownShape(of list: ValueType?) -> [Dimension]? {
    guard let shape = list?.shape, shape.count == 1, case .known(let rank) = shape[0],
      (0...Shape.maximumRank).contains(rank)
    else { return nil }
    return unknownShape(rank: rank)
  }
}
