import MartletBackends
import MartletCore

/// What estimators make of the scores of a row, in float64.
enum PostTransform: String, Sendable {
  case none = "NONE"
  case softmax = "SOFTMAX"
  case logistic = "LOGISTIC"
  /// Softmax of the scores that are not zero; those that are stay so.
  case softmaxZero = "SOFTMAX_ZERO"
  /// The quantile of the normal distribution, by Winitzki's formula, as other runtimes compute it.
  case probit = "PROBIT"

  static let text = "NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT"

  init(_ attributes: Attributes) throws(MartletError) {
    let name = try attributes.string("post_transform", default: "NONE")
    guard let transform = PostTransform(rawValue: name) else {
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): post_transform is '\(name)', expected \(PostTransform.text)",
        operatorName: attributes.operatorName, input: "post_transform",
        expected: PostTransform.text, actual: name)
    }
    self = transform
  }

  func apply(_ scores: UnsafeMutablePointer<Double>, _ count: Int) {
    switch self {
    case .none: return
    case .logistic: for i in 0..<count { scores[i] = PostTransform.logistic(scores[i]) }
    case .probit: for i in 0..<count { scores[i] = PostTransform.probit(scores[i]) }
    case .softmax:
      let most = PostTransform.greatest(scores, count)
      var sum = 0.0
      for i in 0..<count {
        scores[i] = Double.exp(scores[i] - most)
        sum += scores[i]
      }
      for i in 0..<count { scores[i] /= sum }
    case .softmaxZero:
      let most = PostTransform.greatest(scores, count)
      let factor = Double.exp(-most)
      var sum = 0.0
      for i in 0..<count {
        scores[i] = abs(scores[i]) > 1e-7 ? Double.exp(scores[i] - most) : scores[i] * factor
        sum += scores[i]
      }
      // All are zero: none is likelier than another.
      for i in 0..<count { scores[i] = sum == 0 ? 1 / Double(count) : scores[i] / sum }
    }
  }

  private static func greatest(_ scores: UnsafeMutablePointer<Double>, _ count: Int) -> Double {
    var most = -Double.infinity
    for i in 0..<count where scores[i] > most { most = scores[i] }
    return most
  }

  static func logistic(_ score: Double) -> Double {
    let value = 1 / (1 + Double.exp(-abs(score)))
    return score < 0 ? 1 - value : value
  }

  private static func probit(_ score: Double) -> Double {
    let x = 2 * score - 1
    let log = Double.log((1 - x) * (1 + x))
    let v = 2 / (Double.pi * 0.147) + 0.5 * log
    let root = (-v + (v * v - log / 0.147).squareRoot()).squareRoot()
    return 2.0.squareRoot() * (x < 0 ? -root : root)
  }
}
