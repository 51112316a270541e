import MartletBackends
import MartletCore

/// The attributes that LSTM, GRU and RNN share.
struct RecurrentAttributes: Sendable {
  /// Schema entries of all three.
  static let descriptions = [
    "direction": "forward, reverse or bidirectional (forward).",
    "hidden_size": "The state's width; absent: R's.",
    "layout": "0: X [steps, batch, input]; 1: X [batch, steps, input], and so for all (0).",
    "clip": "Gates are clamped to plus and minus this before their functions; absent: not.",
    "activations": "The functions' names, those of one direction after those of the other.",
    "activation_alpha": "The functions' first parameters, in order, of those that have one.",
    "activation_beta": "The functions' second parameters, likewise.",
  ]

  /// Whether each direction runs from the end, in the order of the weights.
  let isReverse: [Bool]
  let isBatchFirst: Bool
  let hiddenSize: Int?
  let clip: Float?
  /// Of each direction.
  let activations: [[[UnaryFunction]]]

  /// - Parameter defaults: The functions of one direction where none are named.
  /// - Parameter isLenient: As ONNX Runtime's RNN, which takes a negative `clip` for none and reads
  ///   over the name of a function for a second direction.
  init(
    _ attributes: Attributes, defaults: [String], isLenient: Bool = false
  ) throws(MartletError) {
    let name = attributes.operatorName
    func fault(_ attribute: String, _ expected: String, _ actual: String) -> MartletError {
      MartletError(
        .invalidArgument,
        "\(name): attribute '\(attribute)': expected \(expected), got \(actual)",
        operatorName: name, input: attribute, expected: expected, actual: actual)
    }
    let direction = try attributes.string("direction", default: "forward")
    switch direction {
    case "forward": isReverse = [false]
    case "reverse": isReverse = [true]
    case "bidirectional": isReverse = [false, true]
    default: throw fault("direction", "forward, reverse or bidirectional", "'\(direction)'")
    }
    let layout = try attributes.int("layout", default: 0)
    guard layout == 0 || layout == 1 else { throw fault("layout", "0 or 1", "\(layout)") }
    isBatchFirst = layout == 1
    hiddenSize = try attributes.optionalInt("hidden_size")
    if let hiddenSize, hiddenSize < 1 { throw fault("hidden_size", "1 or more", "\(hiddenSize)") }
    let clip = try attributes.optionalFloat("clip")
    if let clip, !(isLenient || clip > 0) || clip.isNaN {
      throw fault("clip", "a number above 0", "\(clip)")
    }
    self.clip = clip.flatMap { $0 < 0 ? nil : $0 }
    activations = try RecurrentActivations.parse(
      attributes, defaults: defaults, directions: isReverse.count, ignoresRest: isLenient)
  }

  var directions: Int { isReverse.count }
}
