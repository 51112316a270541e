import MartletBackends
import MartletCore

/// The functions that LSTM, GRU and RNN may apply: those of `ActivationTable` that are for them.
enum RecurrentActivations {
  private static let rows = ActivationTable.rows(for: .recurrent)

  /// The attributes `activations`, `activation_alpha` and `activation_beta`: for each direction its
  /// functions, each as functions applied one after another.
  ///
  /// Names are taken in any case. A function takes the next alpha, and the next beta, if it has such
  /// a parameter, and its default where none is left. `ignoresRest`: functions for a second
  /// direction, which RNN's own default names, are read over where there is none.
  static func parse(
    _ attributes: Attributes, defaults: [String], directions: Int, ignoresRest: Bool
  ) throws(MartletError) -> [[[UnaryFunction]]] {
    var names = try attributes.optionalStrings("activations") ?? []
    let count = defaults.count * directions
    if names.isEmpty { names = (0..<directions).flatMap { _ in defaults } }
    if ignoresRest, directions == 1, names.count == 2 * count { names = Array(names.prefix(count)) }
    guard names.count == count else {
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): expected \(count) activations, got \(names.count)",
        operatorName: attributes.operatorName, input: "activations", expected: "\(count) names",
        actual: "\(names.count)")
    }
    var alphas = (try attributes.optionalFloats("activation_alpha") ?? [])[...]
    var betas = (try attributes.optionalFloats("activation_beta") ?? [])[...]
    var functions: [[UnaryFunction]] = []
    for name in names {
      functions.append(
        try function(
          name, alpha: { alphas.popFirst() ?? $0 }, beta: { betas.popFirst() ?? $0 },
          attributes.operatorName))
    }
    return (0..<directions).map {
      Array(functions[$0 * defaults.count..<($0 + 1) * defaults.count])
    }
  }

  /// `alpha` and `beta` give the next parameter, or the default that they are called with.
  private static func function(
    _ name: String, alpha: (Float) -> Float, beta: (Float) -> Float, _ operatorName: String
  ) throws(MartletError) -> [UnaryFunction] {
    guard let row = rows.first(where: { $0.name.asciiLowercased == name.asciiLowercased }) else {
      throw MartletError(
        .invalidArgument, "\(operatorName): activations: unknown function '\(name)'",
        operatorName: operatorName, input: "activations",
        expected: rows.map(\.name).joined(separator: ", "), actual: name)
    }
    return row.functions(
      row.alpha.map { alpha($0.fallback) } ?? 0, row.beta.map { beta($0.fallback) } ?? 0)
  }
}

extension String {
  /// With A to Z in lower case; other characters stay.
  fileprivate var asciiLowercased: String {
    String(decoding: utf8.map { 65...90 ~= $0 ? $0 + 32 : $0 }, as: UTF8.self)
  }
}
