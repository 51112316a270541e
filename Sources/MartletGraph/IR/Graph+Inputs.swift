import MartletCore
import MartletOperators

/// What the inputs' types say of each other.
extension Graph {
  /// Whether inputs could be of shapes that `loosenInputs` lets in and their types do not.
  package var canLoosenInputs: Bool {
    !sharedSymbols.isEmpty || inputs.contains { values[$0].type.shape?.isEmpty == true }
  }

  /// Forgets that extents of one name are equal, and that an input is a scalar: exporters give all
  /// extents one name ("None", "N"), and write no extents for a shape that they do not know.
  package mutating func loosenInputs() {
    let shared = sharedSymbols
    for id in inputs {
      guard let shape = values[id].type.shape else { continue }
      guard !shape.isEmpty else {
        values[id].type.shape = nil
        continue
      }
      values[id].type.shape = shape.map { dimension -> Dimension in
        guard case .symbol(let name) = dimension, shared.contains(name) else { return dimension }
        return .unknown
      }
    }
  }

  /// The symbols that name several extents of inputs.
  private var sharedSymbols: Set<String> {
    var (seen, shared) = (Set<String>(), Set<String>())
    for id in inputs {
      for case .symbol(let name) in values[id].type.shape ?? [] where !seen.insert(name).inserted {
        shared.insert(name)
      }
    }
    return shared
  }
}
