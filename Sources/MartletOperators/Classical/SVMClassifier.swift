import MartletBackends
import MartletCore

/// The class of each row of X by a support vector machine, [N], and its scores, [N, C] or the decisions
/// between all pairs of classes, [N, C (C - 1) / 2]; in float64 within.
///
/// Of two classes without probabilities the decision d is the scores -d and d. The class is the first of
/// those that win most of their decisions; without support vectors, of those with the highest score.
/// Source: ONNX SVMClassifier-1 (ai.onnx.ml); probabilities: Wu, Lin, Weng, Probability Estimates for
/// Multi-class Classification by Pairwise Coupling (JMLR 2004).
package struct SVMClassifier: Operator {
  package static let schema = OperatorSchema(
    name: "SVMClassifier", domain: OperatorID.machineLearningDomain, inputs: ["X"],
    outputs: ["Y", "Z"],
    attributes: [
      "classlabels_ints": "what the classes are called", "classlabels_strings": "or this",
      "prob_a": "what makes probabilities of decisions, with prob_b; without them there are none",
      "prob_b": "see prob_a", "vectors_per_class": "how many support vectors each class has",
    ].merging(SupportVectors.attributes) { first, _ in first })
  private let labels: ClassLabels
  private let vectors: SupportVectors
  private let transform: PostTransform
  /// Where each class's support vectors begin, and where the last one's end; empty: there are none.
  private let starts: [Int]
  private let coefficients: [Double]
  private let rho: [Double]
  private let probabilities: [(a: Double, b: Double)]

  package init(_ node: OperatorNode) throws(MartletError) {
    let attributes = node.attributes
    labels = try ClassLabels(
      attributes, integers: "classlabels_ints", strings: "classlabels_strings")
    transform = try PostTransform(attributes)
    let coefficients = try attributes.optionalFloats("coefficients") ?? []
    rho = (try attributes.optionalFloats("rho") ?? []).map { Double($0) }
    let (a, b) = (
      try attributes.optionalFloats("prob_a") ?? [], try attributes.optionalFloats("prob_b") ?? []
    )
    let counts = try attributes.optionalInts("vectors_per_class") ?? []
    var starts = [0]
    for count in counts {
      let (end, overflow) = starts[starts.count - 1].addingReportingOverflow(count)
      guard count >= 0, !overflow else {
        throw Self.wrong("vectors_per_class", "has \(count)", "0 or more")
      }
      starts.append(end)
    }
    let total = starts[starts.count - 1]
    let classes = labels.count
    let isLinear = total == 0
    if isLinear {
      guard rho.count >= 1 else { throw Self.wrong("rho", "is empty", "1 element") }
      vectors = try SupportVectors(attributes, coefficients, count: classes, isLinear: true)
      self.starts = []
      self.coefficients = []
      probabilities = []
      return
    }
    guard counts.count == classes else {
      throw Self.wrong("vectors_per_class", "has \(counts.count) elements", "\(classes)")
    }
    let (needed, overflow) = total.multipliedReportingOverflow(by: classes - 1)
    guard !overflow, coefficients.count == needed else {
      throw Self.wrong("coefficients", "has \(coefficients.count) elements", "\(needed)")
    }
    let (twice, isLong) = classes.multipliedReportingOverflow(by: classes - 1)
    guard !isLong, rho.count == twice / 2 else {
      throw Self.wrong("rho", "has \(rho.count) elements", "\(twice / 2)")
    }
    guard a.count == b.count, a.isEmpty || a.count == rho.count else {
      throw Self.wrong("prob_a", "has \(a.count) elements, prob_b \(b.count)", "\(rho.count)")
    }
    vectors = try SupportVectors(
      attributes, try attributes.optionalFloats("support_vectors") ?? [], count: total,
      isLinear: false)
    self.starts = starts
    self.coefficients = coefficients.map { Double($0) }
    probabilities = zip(a, b).map { (Double($0), Double($1)) }
  }

  /// Columns of Z.
  private var width: Int {
    if starts.isEmpty || !probabilities.isEmpty || labels.count == 2 { return labels.count }
    return rho.count
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    let rows = try FeatureRows.rows(inputs.type(0), Self.schema)
    return [
      ValueType(dtype: labels.dtype, shape: [rows]),
      ValueType(dtype: .float32, shape: [rows, .known(width)]),
    ]
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    let x = try FeatureRows(inputs, as: .float64, context)
    let width = width
    let picks = try labels.picks(x.rows, context)
    let output = try context.output(1, .float32, [x.rows, width])
    let (numbers, results) = (picks.typed(Int64.self), output.typed(Float.self))
    let columns = max(width, max(rho.count, labels.count))
    let scores = try context.scratch(
      .float64, [min(x.rows, SupportVectors.batch), columns]
    ).typed(Double.self)
    let each = coefficients.count + 100 * columns
    try vectors.forEachBatch(inputs, x, context) { first, rows, kernels in
      context.forEachRange(rows, nanoseconds: each) { range in
        for row in range {
          let own = scores + row * columns
          numbers[first + row] = Int64(
            score(kernels + row * vectors.vectors.rows, into: own))
          for i in 0..<width { results[(first + row) * width + i] = Float(own[i]) }
        }
      }
    }
    try labels.deliver(picks, context)
    context.deliver(output)
  }

  /// The scores of a row with these kernels; its class.
  private func score(
    _ kernels: UnsafePointer<Double>, into scores: UnsafeMutablePointer<Double>
  ) -> Int {
    let classes = labels.count
    if starts.isEmpty {
      var best = 0
      for i in 0..<classes {
        scores[i] = kernels[i] + rho[0]
        if scores[i] > scores[best] { best = i }
      }
      transform.apply(scores, classes)
      return best
    }
    let best = decide(kernels, into: scores)
    if !probabilities.isEmpty {
      let shares = PairwiseCoupling.probabilities(classes: classes) { pair in
        1 - PostTransform.logistic(scores[pair] * probabilities[pair].a + probabilities[pair].b)
      }
      for i in 0..<classes { scores[i] = shares[i] }
      transform.apply(scores, classes)
    } else if classes == 2 {
      scores[1] = scores[0]
      scores[0] = transform == .probit ? 1 - scores[1] : -scores[1]
      transform.apply(scores, 2)
    } else {
      transform.apply(scores, rho.count)
    }
    return best
  }

  /// The decisions between all pairs of classes; the class that wins most.
  private func decide(
    _ kernels: UnsafePointer<Double>, into decisions: UnsafeMutablePointer<Double>
  ) -> Int {
    let classes = labels.count
    let total = vectors.vectors.rows
    var wins = [Int](repeating: 0, count: classes)
    var pair = 0
    for i in 0..<classes {
      for j in i + 1..<max(classes, i + 1) {
        var sum = 0.0
        for vector in starts[i]..<starts[i + 1] {
          sum += coefficients[(j - 1) * total + vector] * kernels[vector]
        }
        for vector in starts[j]..<starts[j + 1] {
          sum += coefficients[i * total + vector] * kernels[vector]
        }
        sum += rho[pair]
        decisions[pair] = sum
        wins[sum > 0 ? i : j] += 1
        pair += 1
      }
    }
    var best = 0
    for i in 1..<max(classes, 1) where wins[i] > wins[best] { best = i }
    return best
  }

  private static func wrong(_ attribute: String, _ what: String, _ expected: String)
    -> MartletError
  {
    MartletError(
      .invalidArgument, "\(schema.name): \(attribute) \(what), expected \(expected)",
      operatorName: schema.name, input: attribute, expected: expected, actual: what)
  }
}

/// Probabilities of classes from those of one against another, by the fixed point of Wu, Lin and Weng's
/// second method, as libsvm finds it.
private enum PairwiseCoupling {
  /// `probability`: that of the first class of each pair against its second, in the pairs' order.
  static func probabilities(classes: Int, _ probability: (Int) -> Double) -> [Double] {
    var r = [Double](repeating: 0, count: classes * classes)
    var pair = 0
    for i in 0..<classes {
      for j in i + 1..<max(classes, i + 1) {
        let share = min(max(probability(pair), 1e-7), 1 - 1e-7)
        r[i * classes + j] = share
        r[j * classes + i] = 1 - share
        pair += 1
      }
    }
    var q = [Double](repeating: 0, count: classes * classes)
    for i in 0..<classes {
      for j in 0..<classes where j != i {
        q[i * classes + i] += r[j * classes + i] * r[j * classes + i]
        q[i * classes + j] = -r[j * classes + i] * r[i * classes + j]
      }
    }
    var p = [Double](repeating: 1 / Double(classes), count: classes)
    var qp = [Double](repeating: 0, count: classes)
    for _ in 0..<100 {
      var pqp = 0.0
      for i in 0..<classes {
        qp[i] = 0
        for j in 0..<classes { qp[i] += q[i * classes + j] * p[j] }
        pqp += p[i] * qp[i]
      }
      var error = 0.0
      for i in 0..<classes { error = max(error, abs(qp[i] - pqp)) }
      if error < 0.005 / Double(classes) { break }
      for i in 0..<classes {
        let step = (pqp - qp[i]) / q[i * classes + i]
        p[i] += step
        pqp = (pqp + step * (step * q[i * classes + i] + 2 * qp[i])) / (1 + step) / (1 + step)
        for j in 0..<classes {
          qp[j] = (qp[j] + step * q[i * classes + j]) / (1 + step)
          p[j] /= 1 + step
        }
      }
    }
    return p
  }
}
