import MartletBackends
import MartletCore

/// The functions that products apply to their results (the attribute `activation` of Martlet's own
/// operators) and recurrent layers to their gates, one row each.
///
/// A row is all there is to a function besides its kernel: passes, epilogues, messages and
/// decompositions read it here.
package enum ActivationTable {
  package static let all: [ActivationRow] = [
    ActivationRow(
      "Affine", for: .recurrent, alpha: .attribute("alpha", 1, "the factor"),
      beta: .attribute("beta", 0, "what is added")
    ) { [.affine(scale: $0, offset: $1)] },
    ActivationRow(
      "Clip", for: .epilogue, alpha: .input(1, -.infinity, "the lower bound"),
      beta: .input(2, .infinity, "the upper bound")
    ) { [.clamp($0, $1)] },
    ActivationRow(
      "Elu", for: .epilogue, .recurrent, alpha: .attribute("alpha", 1, "the limit below zero")
    ) { alpha, _ in [.elu(alpha: alpha)] },
    ActivationRow(
      "Gelu", for: .epilogue,
      variant: ActivationRow.Variant("approximate", "none", isDefault: true),
      patterns: [
        // x / 2 * (1 + erf(x / sqrt(2)))
        .product(
          0.5, [.x, .sum(.apply("Erf", .product(0.5.squareRoot(), [.x])), 1)])
      ]
    ) { _, _ in [.gelu] },
    ActivationRow(
      "GeluTanh", for: .epilogue, op: "Gelu",
      variant: ActivationRow.Variant("approximate", "tanh", isDefault: false),
      patterns: [geluTanh(cube: [.x, .x, .x]), geluTanh(cube: [.power(.x, 3)])]
    ) { _, _ in [.geluTanh] },
    ActivationRow(
      "HardSigmoid", for: .epilogue, .recurrent, alpha: .attribute("alpha", 0.2, "the slope"),
      beta: .attribute("beta", 0.5, "the value at zero")
    ) { [.hardSigmoid(alpha: $0, beta: $1)] },
    ActivationRow(
      "HardSwish", for: .epilogue,
      patterns: [
        .product(1, [.x, .activation("HardSigmoid", .x, alpha: 1 / 6, beta: 0.5)]),
        .product(1 / 6, [.x, .activation("Clip", .sum(.x, 3), alpha: 0, beta: 6)]),
      ]
    ) { _, _ in [.hardSwish] },
    ActivationRow(
      "LeakyRelu", for: .epilogue, .recurrent,
      alpha: .attribute("alpha", 0.01, "the slope below zero")
    ) { alpha, _ in [.leakyRelu(slope: alpha)] },
    ActivationRow("Relu", for: .epilogue, .recurrent) { _, _ in [.relu] },
    ActivationRow(
      "ScaledTanh", for: .recurrent, alpha: .attribute("alpha", 1, "the factor"),
      beta: .attribute("beta", 1, "the factor of x")
    ) { [.affine(scale: $1, offset: 0), .tanh, .affine(scale: $0, offset: 0)] },
    ActivationRow("Sigmoid", for: .epilogue, .recurrent) { _, _ in [.sigmoid] },
    ActivationRow(
      "Silu", for: .epilogue, op: .martlet("Silu"),
      patterns: [.product(1, [.x, .activation("Sigmoid", .x)])]
    ) { _, _ in [.silu] },
    ActivationRow("Softplus", for: .recurrent) { _, _ in [.softplus] },
    ActivationRow("Softsign", for: .recurrent) { _, _ in [.softsign] },
    ActivationRow("Tanh", for: .epilogue, .recurrent) { _, _ in [.tanh] },
    ActivationRow(
      "ThresholdedRelu", for: .recurrent, alpha: .attribute("alpha", 1, "the threshold")
    ) { alpha, _ in [.thresholdedRelu(alpha: alpha)] },
  ]

  /// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * cube))).
  private static func geluTanh(cube: [ActivationPattern]) -> ActivationPattern {
    let sum = ActivationPattern.addition(.x, .product(0.044715, cube))
    let argument = ActivationPattern.product((2 / Double.pi).squareRoot(), [sum])
    return .product(0.5, [.x, .sum(.activation("Tanh", argument), 1)])
  }

  /// The rows for this use.
  package static func rows(for use: ActivationRow.Use) -> [ActivationRow] {
    all.filter { $0.uses.contains(use) }
  }

  private static let byName: [String: ActivationRow] = Dictionary(
    all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  private static let byOp: [OperatorID: [ActivationRow]] = all.reduce(into: [:]) { rows, row in
    rows[row.op, default: []].append(row)
  }

  /// The row of this name, or nil.
  package static func row(named name: String) -> ActivationRow? { byName[name] }

  /// The row of this name for this use, or nil.
  package static func row(named name: String, for use: ActivationRow.Use) -> ActivationRow? {
    byName[name].flatMap { $0.uses.contains(use) ? $0 : nil }
  }

  /// The row that a node of this operator and these attributes is, or nil.
  package static func row(
    of op: OperatorID, _ attributes: [String: AttributeValue] = [:]
  ) -> ActivationRow? {
    byOp[op]?.first { $0.variant?.holds(for: attributes) ?? true }
  }
}
