import MartletBackends
import MartletCore

/// An activation that one of Martlet's own operators applies to its result: the attributes
/// `activation`, `activation_alpha` and `activation_beta`.
struct FusedActivation: Sendable {
  let row: ActivationRow
  let alpha: Float
  let beta: Float
  let function: UnaryFunction

  /// Schema entries that every operator with a fused activation has.
  static let attributes = [
    "activation": "A function applied to the result: \(names); absent: none.",
    "activation_alpha": "The function's first parameter: \(meanings(\.alpha)).",
    "activation_beta": "The function's second parameter: \(meanings(\.beta)).",
  ]

  private static let rows = ActivationTable.rows(for: .epilogue)
  private static let names = rows.map(\.name).joined(separator: ", ")

  private static func meanings(_ parameter: KeyPath<ActivationRow, ActivationRow.Parameter?>)
    -> String
  {
    rows.compactMap { $0.meaning($0[keyPath: parameter]) }.joined(separator: ", ")
  }

  /// nil where the attributes name none.
  init?(_ attributes: Attributes) throws(MartletError) {
    let name = try attributes.string("activation", default: "")
    let alpha = try attributes.optionalFloat("activation_alpha")
    let beta = try attributes.optionalFloat("activation_beta")
    if name.isEmpty { return nil }
    guard let row = ActivationTable.row(named: name, for: .epilogue) else {
      throw MartletError(
        .invalidArgument, "\(attributes.operatorName): unknown activation '\(name)'",
        operatorName: attributes.operatorName, input: "activation",
        expected: FusedActivation.names, actual: name)
    }
    self.row = row
    self.alpha = alpha ?? row.alpha?.fallback ?? 0
    self.beta = beta ?? row.beta?.fallback ?? 0
    let functions = row.functions(self.alpha, self.beta)
    guard let function = functions.first, functions.count == 1, function.hasKernel else {
      throw MartletError(
        .internalError, "\(attributes.operatorName): activation '\(name)' is not one kernel",
        operatorName: attributes.operatorName, input: "activation", expected: "one kernel",
        actual: "\(functions.count) functions")
    }
    self.function = function
  }
}
