import MartletCore

/// Lists of axes as attributes and inputs give them.
package enum Axes {
  /// The axes counted from the front; throws on one out of range or given twice.
  package static func normalized(_ axes: [Int], rank: Int, operatorName: String)
    throws(MartletError) -> Set<Int>
  {
    var result: Set<Int> = []
    for axis in axes {
      let normal = try Shape.normalizedAxis(axis, rank: rank, operatorName: operatorName)
      guard result.insert(normal).inserted else {
        throw MartletError(
          .invalidArgument, "\(operatorName): axis \(axis) is given twice",
          operatorName: operatorName, input: "axes", expected: "each axis once",
          actual: Shape.text(axes))
      }
    }
    return result
  }
}
