/// Shapes are arrays of extents, strides arrays of element counts; here is their checked arithmetic.
///
/// Anything that comes from a file or a caller passes through these functions once; the code
/// behind them may then multiply extents freely, because the byte count is known to fit `Int`.
package enum Shape {
  /// The most dimensions that a tensor has.
  package static let maximumRank = 32

  /// Number of elements; throws `invalidShape` on a negative extent, too many dimensions or overflow.
  package static func elementCount(_ shape: [Int]) throws(MartletError) -> Int {
    guard shape.count <= maximumRank else {
      throw MartletError(
        .invalidShape, "shape has \(shape.count) dimensions, at most \(maximumRank) are supported",
        expected: "rank <= \(maximumRank)", actual: "rank \(shape.count)")
    }
    var count = 1
    var isEmpty = false
    for extent in shape {
      guard extent >= 0 else {
        throw MartletError(
          .invalidShape, "shape \(text(shape)) has a negative extent",
          expected: "extents >= 0", actual: text(shape))
      }
      if extent == 0 {
        isEmpty = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw overflowError(shape) }
      count = product
    }
    return isEmpty ? 0 : count
  }

  /// Row-major strides in elements. The shape must have passed `elementCount`.
  package static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    var step = 1
    for axis in shape.indices.reversed() {
      strides[axis] = step
      step *= max(shape[axis], 1)
    }
    return strides
  }

  /// The common shape of two under NumPy's broadcasting, or nil if they do not broadcast.
  package static func broadcast(_ a: [Int], _ b: [Int]) -> [Int]? {
    let rank = max(a.count, b.count)
    var result = [Int](repeating: 1, count: rank)
    for axis in 0..<rank {
      let x = axis < rank - a.count ? 1 : a[axis - (rank - a.count)]
      let y = axis < rank - b.count ? 1 : b[axis - (rank - b.count)]
      guard x == y || x == 1 || y == 1 else { return nil }
      result[axis] = x == 1 ? y : x
    }
    return result
  }

  /// `axis` counted from the front; throws when it is outside -rank..<rank.
  package static func normalizedAxis(
    _ axis: Int, rank: Int, operatorName: String
  ) throws(MartletError) -> Int {
    guard axis >= -rank, axis < rank else {
      throw .shape(
        operatorName, "axis out of range",
        expected: rank == 0 ? "no axis of a scalar" : "-\(rank)..<\(rank)", actual: "\(axis)")
    }
    return axis < 0 ? axis + rank : axis
  }

  /// The shape as text: `[2, 3]`.
  package static func text(_ shape: [Int]) -> String {
    "[" + shape.map { String($0) }.joined(separator: ", ") + "]"
  }

  static func overflowError(_ shape: [Int]) -> MartletError {
    MartletError(
      .invalidShape, "shape \(text(shape)) has more elements than can be addressed",
      expected: "a size below 2^61 bytes", actual: text(shape))
  }
}
