import MartletCore
import MartletOperators

/// What is in a model's file, whether or not it can be run here.
package struct ModelSurvey: Sendable {
  /// An input or output as the file declares it.
  package struct Port: Sendable {
    package let name: String
    /// nil: the file gives it a type that Martlet does not have.
    package let type: ValueType?
  }

  /// Nodes of one kind, those inside subgraphs and functions included.
  package struct Operators: Sendable, Equatable {
    package let name: String
    package let count: Int
    /// Whether Martlet has it, or the file defines it as a function.
    package let isSupported: Bool
  }

  package var metadata = ModelMetadata()
  package var inputs: [Port] = []
  package var outputs: [Port] = []
  /// The most frequent first.
  package var operators: [Operators] = []
  /// Of the initialisers whose types Martlet knows.
  package var constantElements = 0
  package var constantBytes = 0
}
