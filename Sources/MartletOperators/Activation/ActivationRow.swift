import MartletBackends
import MartletCore

/// A function of one value that others apply to their results; see `ActivationTable`.
package struct ActivationRow: Sendable {
  /// Who may apply it.
  package enum Use: Sendable {
    /// A product, while its result is in registers or cache; the function has one kernel.
    case epilogue
    /// A recurrent layer, to its gates and states.
    case recurrent
  }

  /// A number that the function takes besides x.
  package struct Parameter: Sendable {
    /// Where a node of the row's operator has it.
    package enum Source: Sendable {
      case attribute(String)
      case input(Int)
    }

    package let source: Source
    /// Where nothing is said.
    package let fallback: Float
    package let meaning: String

    static func attribute(_ name: String, _ fallback: Float, _ meaning: String) -> Parameter {
      Parameter(source: .attribute(name), fallback: fallback, meaning: meaning)
    }

    static func input(_ index: Int, _ fallback: Float, _ meaning: String) -> Parameter {
      Parameter(source: .input(index), fallback: fallback, meaning: meaning)
    }
  }

  /// The attribute by which an operator is one function or another.
  package struct Variant: Sendable {
    package let attribute: String
    package let value: String
    /// Whether the operator is this function where the attribute is absent.
    let isDefault: Bool

    init(_ attribute: String, _ value: String, isDefault: Bool) {
      self.attribute = attribute
      self.value = value
      self.isDefault = isDefault
    }

    func holds(for attributes: [String: AttributeValue]) -> Bool {
      switch attributes[attribute] {
      case nil: isDefault
      case .string(let text): text == value
      default: false
      }
    }
  }

  /// What the attributes that name activations say.
  package let name: String
  package let uses: Set<Use>
  /// The operator that is the function by itself.
  package let op: OperatorID
  package let variant: Variant?
  package let alpha: Parameter?
  package let beta: Parameter?
  /// What exporters write out in its place. The first is what the function is in ONNX's operators,
  /// where its own operator is none of them.
  package var patterns: [ActivationPattern] { makePatterns() }
  /// Made anew each time: kept for good, the boxes of the enum look lost to leak checkers.
  private let makePatterns: @Sendable () -> [ActivationPattern]
  /// For alpha and beta: the kernels, which are applied one after another.
  package let functions: @Sendable (Float, Float) -> [UnaryFunction]

  init(
    _ name: String, for uses: Use..., op: OperatorID? = nil, variant: Variant? = nil,
    alpha: Parameter? = nil, beta: Parameter? = nil,
    patterns: @escaping @autoclosure @Sendable () -> [ActivationPattern] = [],
    functions: @escaping @Sendable (Float, Float) -> [UnaryFunction]
  ) {
    self.name = name
    self.uses = Set(uses)
    self.op = op ?? OperatorID(name)
    self.variant = variant
    self.alpha = alpha
    self.beta = beta
    makePatterns = patterns
    self.functions = functions
  }

  /// The attributes of a node of `op` that is this function, but for its parameters.
  package var attributes: [String: AttributeValue] {
    variant.map { [$0.attribute: .string($0.value)] } ?? [:]
  }

  /// Both parameters with what they are and their defaults, for people: `the slope (0.2)`.
  func meaning(_ parameter: Parameter?) -> String? {
    parameter.map { "\($0.meaning) of \(name) (\($0.fallback))" }
  }
}

/// The function in ONNX's operators as exporters write it out.
package indirect enum ActivationPattern: Sendable {
  case x
  /// The function of a row.
  case activation(String, ActivationPattern, alpha: Double? = nil, beta: Double? = nil)
  case apply(OperatorID, ActivationPattern)
  /// Plus a number.
  case sum(ActivationPattern, Double)
  case addition(ActivationPattern, ActivationPattern)
  case power(ActivationPattern, Double)
  /// A number times all of these, in whatever order.
  case product(Double, [ActivationPattern])
}
