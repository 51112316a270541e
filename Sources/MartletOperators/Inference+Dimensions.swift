/// Arithmetic of extents. What overflows or grows too long is unknown.
extension Inference {
  package static func product(_ dimensions: some Sequence<Dimension>) -> Dimension {
    var result = Dimension.known(1)
    for dimension in dimensions { result = times(result, dimension) }
    return result
  }

  package static func times(_ a: Dimension, _ b: Dimension) -> Dimension {
    switch (a, b) {
    case (.known(1), _): return b
    case (_, .known(1)): return a
    case (.known(0), _), (_, .known(0)): return .known(0)
    default: return combine(a, b) { $0.multiplied(by: $1) }
    }
  }

  package static func plus(_ a: Dimension, _ b: Dimension) -> Dimension {
    switch (a, b) {
    case (.known(0), _): return b
    case (_, .known(0)): return a
    default: return combine(a, b) { $0.adding($1) }
    }
  }

  package static func minus(_ a: Dimension, _ b: Dimension) -> Dimension {
    if b == .known(0) { return a }
    return combine(a, b) { x, y in y.multiplied(by: -1).flatMap { x.adding($0) } }
  }

  /// The quotient by a positive number, rounded down.
  package static func divided(_ a: Dimension, by divisor: Int) -> Dimension {
    DimensionExpression(a)?.divided(by: divisor)?.dimension ?? .unknown
  }

  /// The quotient by a positive number, rounded up.
  package static func dividedUp(_ a: Dimension, by divisor: Int) -> Dimension {
    divided(plus(a, .known(divisor - 1)), by: divisor)
  }

  /// The quotient of what is known to leave no rest; unknown where that cannot be written.
  package static func exactQuotient(_ a: Dimension, _ b: Dimension) -> Dimension {
    guard b != .known(0), let dividend = DimensionExpression(a),
      let divisor = DimensionExpression(b)
    else { return .unknown }
    if let quotient = dividend.dividedExactly(by: divisor) { return quotient.dimension }
    if case .known(let number) = b, number > 0 { return divided(a, by: number) }
    return .unknown
  }

  private static func combine(
    _ a: Dimension, _ b: Dimension,
    _ combine: (DimensionExpression, DimensionExpression) -> DimensionExpression?
  ) -> Dimension {
    guard let x = DimensionExpression(a), let y = DimensionExpression(b) else { return .unknown }
    return combine(x, y)?.dimension ?? .unknown
  }
}
