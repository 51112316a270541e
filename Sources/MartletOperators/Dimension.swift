/// One extent of a symbolic shape.
package enum Dimension: Sendable, Equatable, CustomStringConvertible {
  case known(Int)
  /// A name of the model's, equal wherever it occurs.
  case symbol(String)
  case unknown

  package var description: String {
    switch self {
    case .known(let value): "\(value)"
    case .symbol(let name): name
    case .unknown: "?"
    }
  }
}
