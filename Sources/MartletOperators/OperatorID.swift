/// What an operator is called: a name within a domain. Domains may share names.
package struct OperatorID: Sendable, Hashable {
  /// Empty for ONNX's own operators, else as files write it: `ai.onnx.ml`, `com.microsoft`, ….
  package let domain: String
  package let name: String

  /// The domain of Martlet's own operators.
  package static let martletDomain = "ai.martlet"
  /// The domain of ONNX's operators of classical machine learning.
  package static let machineLearningDomain = "ai.onnx.ml"

  /// The domain of ONNX Runtime's operators.
  package static let microsoftDomain = "com.microsoft"

  package init(_ name: String, domain: String = "") {
    self.domain = domain
    self.name = name
  }

  /// One of Martlet's own operators.
  package static func martlet(_ name: String) -> OperatorID {
    OperatorID(name, domain: martletDomain)
  }
}

/// A literal is the name of one of ONNX's own operators.
extension OperatorID: ExpressibleByStringLiteral {
  package init(stringLiteral name: String) { self.init(name) }
}

/// The plain name of ONNX's own operators; others with their domain: `ai.martlet.FusedMatMul`.
extension OperatorID: CustomStringConvertible {
  package var description: String { domain.isEmpty ? name : "\(domain).\(name)" }
}
