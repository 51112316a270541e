/// One extent of a symbolic shape.
package enum Dimension: Sendable, Hashable, CustomStringConvertible {
  case known(Int)
  /// A name of the model's, equal wherever it occurs.
  case symbol(String)
  /// Computed from symbols; never what one of the other cases says.
  case expression(DimensionExpression)
  case unknown

  package var description: String {
    switch self {
    case .known(let value): "\(value)"
    case .symbol(let name): name
    case .expression(let expression): expression.description
    case .unknown: "?"
    }
  }

  /// A number that the extent is never below, if one is known. A symbol is at least 0.
  package var lowerBound: Int? { DimensionExpression(self)?.lowerBound }

  /// Whether this is known to be no less than `other` whatever the symbols are.
  package func isAtLeast(_ other: Dimension) -> Bool {
    Inference.minus(self, other).lowerBound.map { $0 >= 0 } ?? false
  }

  /// The number where `extent` gives those of the symbols, or nil.
  package func evaluated(_ extent: (String) -> Int?) -> Int? {
    DimensionExpression(self)?.evaluated(extent)
  }
}
