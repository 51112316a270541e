/// How a model's file is read where not quite as it stands.
package struct ModelReading: Sendable, Hashable {
  /// Initialisers that are inputs too, and are read as inputs (see `Graph.replaceable`).
  package var replaced: Set<String> = []
  /// Whether inputs may be of the shapes that `Graph.loosenInputs` lets in.
  package var isLoose = false

  package init() {}
}
