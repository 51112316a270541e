import Glibc
import MartletCore
import Testing

@testable import MartletOperators

private func ml(_ name: String) -> String { "ai.onnx.ml.\(name)" }

@Suite struct EstimatorsTests {
  private let x: [Double] = [1, -4, 2, 0, 0, 0, -1, -2, -3]

  @Test(
    "LinearRegressor, of one target and of several",
    arguments: [DType.float32, .float64, .int32, .int64])
  func regressor(_ dtype: DType) throws {
    let x = try tensor(x, [3, 3], dtype)
    let one: [String: AttributeValue] = [
      "coefficients": .floats([0.5, 0.25, 1]), "intercepts": .floats([2]),
    ]
    let result = try run(ml("LinearRegressor"), [x], one)[0]
    #expect(result.shape == [3, 1] && result.dtype == .float32 && result.values == [3.5, 2, -2])
    let two: [String: AttributeValue] = [
      "coefficients": .floats([0.5, 0.25, 1, 1, 0, -1]), "targets": .int(2),
    ]
    #expect(try values(ml("LinearRegressor"), [x], two) == [1.5, -1, 0, 0, -4, 2])
    let logistic = one.merging(["post_transform": .string("LOGISTIC")]) { $1 }
    let shares = [3.5, 2, -2].map { (score: Double) -> Double in 1 / (1 + exp(-score)) }
    #expect(agree(try values(ml("LinearRegressor"), [x], logistic), shares))
  }

  @Test("LinearClassifier scores each class, or the second of two") func classifier() throws {
    let x = try tensor(x, [3, 3])
    let each: [String: AttributeValue] = [
      "coefficients": .floats([0.5, 0.25, 1, 1, 0, -1, 0, 0, 0]),
      "intercepts": .floats([0, 0, 0.5]), "classlabels_strings": .strings(["a", "b", "c"]),
    ]
    let result = try run(ml("LinearClassifier"), [x], each, outputs: 2)
    #expect(result[0].strings == ["a", "c", "b"])
    #expect(result[1].values == [1.5, -1, 0.5, 0, 0, 0.5, -4, 2, 0.5])
    let soft = try run(
      ml("LinearClassifier"), [x], each.merging(["post_transform": .string("SOFTMAX")]) { $1 },
      outputs: 2)
    let sum = exp(1.5) + exp(-1.0) + exp(0.5)
    #expect(
      agree(Array(soft[1].values[..<3]), [1.5, -1, 0.5].map { exp($0) / sum }))
    let second: [String: AttributeValue] = [
      "coefficients": .floats([0.5, 0.25, 1]), "intercepts": .floats([0]),
      "classlabels_ints": .ints([5, 7]),
    ]
    let binary = try run(ml("LinearClassifier"), [x], second, outputs: 2)
    #expect(binary[0].values == [7, 5, 5])
    #expect(binary[1].values == [-0.5, 1.5, 1, 0, 5, -4])
    let logistic = try run(
      ml("LinearClassifier"), [x], second.merging(["post_transform": .string("LOGISTIC")]) { $1 },
      outputs: 2)
    #expect(
      agree(Array(logistic[1].values[..<2]), [1 / (1 + exp(1.5)), 1 / (1 + exp(-1.5))], 1e-6))
  }

  @Test("coefficients, intercepts and rows must fit") func linearFaults() throws {
    let x = try tensor(x, [3, 3])
    let faults: [(String, [String: AttributeValue])] = [
      ("LinearRegressor", [:]),
      ("LinearRegressor", ["coefficients": .floats([1, 2]), "targets": .int(0)]),
      ("LinearRegressor", ["coefficients": .floats([1, 2, 3]), "targets": .int(2)]),
      ("LinearRegressor", ["coefficients": .floats([1, 2])]),
      ("LinearRegressor", ["coefficients": .floats([1, 2, 3]), "intercepts": .floats([1, 2])]),
      ("LinearClassifier", ["coefficients": .floats([1, 2, 3])]),
      (
        "LinearClassifier",
        [
          "coefficients": .floats([1, 2, 3, 4, 5, 6]), "intercepts": .floats([1, 2]),
          "classlabels_ints": .ints([1, 2, 3]),
        ]
      ),
    ]
    for (name, attributes) in faults {
      let error = #expect(throws: MartletError.self) {
        try run(ml(name), [x], attributes, outputs: 2)
      }
      #expect(error?.operatorName == ml(name), "\(attributes)")
    }
  }

  /// The kernels by their definitions.
  private func kernel(_ kind: String, _ a: [Double], _ b: [Double]) -> Double {
    var (product, distance) = (0.0, 0.0)
    for (p, q) in zip(a, b) {
      product += p * q
      distance += (p - q) * (p - q)
    }
    switch kind {
    case "POLY": return pow(0.5 * product + 1, 3)
    case "RBF": return exp(-0.5 * distance)
    case "SIGMOID": return tanh(0.5 * product + 1)
    default: return product
    }
  }

  private func rows(_ count: Int, _ width: Int) -> [[Double]] {
    var rows: [[Double]] = []
    for row in 0..<count {
      rows.append((0..<width).map { column in Double((row * 7 + column * 5) % 11) / 4 - 1.25 })
    }
    return rows
  }

  @Test("SVMRegressor", arguments: ["LINEAR", "POLY", "RBF", "SIGMOID"])
  func svmRegressor(_ kind: String) throws {
    let (vectors, x) = (rows(5, 3), rows(300, 3))
    let coefficients: [Float] = [1, -2, 0.5, 0.25, -1]
    let attributes: [String: AttributeValue] = [
      "kernel_type": .string(kind), "kernel_params": .floats([0.5, 1, 3]), "n_supports": .int(5),
      "support_vectors": .floats(vectors.flatMap { $0 }.map { Float($0) }),
      "coefficients": .floats(coefficients), "rho": .floats([0.75]),
    ]
    var expected: [Double] = []
    for row in x {
      var sum = 0.75
      for (vector, coefficient) in zip(vectors, coefficients) {
        sum += Double(coefficient) * kernel(kind, row, vector)
      }
      expected.append(sum)
    }
    let input = try tensor(x.flatMap { $0 }, [300, 3])
    let result = try run(ml("SVMRegressor"), [input], attributes)[0]
    #expect(result.shape == [300, 1] && agree(result.values, expected))
    let sides = try values(
      ml("SVMRegressor"), [input], attributes.merging(["one_class": .int(1)]) { $1 })
    #expect(sides == expected.map { $0 > 0 ? 1 : -1 })
    let linear = try values(
      ml("SVMRegressor"), [input],
      ["coefficients": .floats([1, 2, 3]), "rho": .floats([0.5]), "kernel_type": .string("RBF")])
    let plain = x.map { (row: [Double]) -> Double in row[0] + 2 * row[1] + 3 * row[2] + 0.5 }
    #expect(agree(linear, plain))
  }

  /// Three classes with 2, 1 and 2 vectors.
  private func machine(_ more: [String: AttributeValue] = [:]) -> [String: AttributeValue] {
    [
      "kernel_type": .string("RBF"), "kernel_params": .floats([0.5, 0, 0]),
      "vectors_per_class": .ints([2, 1, 2]),
      "support_vectors": .floats(rows(5, 3).flatMap { $0 }.map { Float($0) }),
      "coefficients": .floats([1, 0.5, -1, -0.5, -0.75, 0.25, 1, 0.5, -1, -0.25]),
      "rho": .floats([0.125, -0.25, 0.0625]), "classlabels_ints": .ints([4, 5, 6]),
    ].merging(more) { $1 }
  }

  @Test("SVMClassifier: decisions between all pairs, probabilities that add up to 1")
  func svmClassifier() throws {
    let (vectors, x) = (rows(5, 3), rows(40, 3))
    let c: [[Double]] = [[1, 0.5, -1, -0.5, -0.75], [0.25, 1, 0.5, -1, -0.25]]
    let input = try tensor(x.flatMap { $0 }, [40, 3])
    let result = try run(ml("SVMClassifier"), [input], machine(), outputs: 2)
    #expect(result[1].shape == [40, 3])
    for (index, row) in x.enumerated() {
      let k = vectors.map { kernel("RBF", row, $0) }
      let first = c[0][0] * k[0] + c[0][1] * k[1] + c[0][2] * k[2]
      let second = c[1][0] * k[0] + c[1][1] * k[1] + c[0][3] * k[3] + c[0][4] * k[4]
      let third = c[1][2] * k[2] + c[1][3] * k[3] + c[1][4] * k[4]
      let decisions: [Double] = [first + 0.125, second - 0.25, third + 0.0625]
      #expect(agree(Array(result[1].values[index * 3..<index * 3 + 3]), decisions))
      var wins = [0, 0, 0]
      wins[decisions[0] > 0 ? 0 : 1] += 1
      wins[decisions[1] > 0 ? 0 : 2] += 1
      wins[decisions[2] > 0 ? 1 : 2] += 1
      let best = wins.firstIndex(of: wins.max() ?? 0) ?? 0
      #expect(result[0].values[index] == Double(4 + best))
    }
    let likely = try run(
      ml("SVMClassifier"), [input],
      machine(["prob_a": .floats([-2, -1.5, -1]), "prob_b": .floats([0, 0.25, -0.5])]), outputs: 2)
    for index in 0..<40 {
      let shares = likely[1].values[index * 3..<index * 3 + 3]
      #expect(abs(shares.reduce(0, +) - 1) < 1e-5 && shares.allSatisfy { $0 > 0 })
    }
  }

  @Test("SVMClassifier of two classes, and without support vectors") func svmForms() throws {
    let two: [String: AttributeValue] = [
      "vectors_per_class": .ints([1, 1]), "support_vectors": .floats([1, 0, 0, 1]),
      "coefficients": .floats([1, -1]), "rho": .floats([0.5]),
      "classlabels_strings": .strings(["a", "b"]),
    ]
    let x = try tensor([2, 1, 0, 3], [2, 2])
    let result = try run(ml("SVMClassifier"), [x], two, outputs: 2)
    #expect(result[0].strings == ["a", "b"] && result[1].values == [-1.5, 1.5, 2.5, -2.5])
    let linear: [String: AttributeValue] = [
      "coefficients": .floats([1, 0, 0, 1, -1, -1]), "rho": .floats([0.25]),
      "classlabels_ints": .ints([1, 2, 3]),
    ]
    let plain = try run(ml("SVMClassifier"), [x], linear, outputs: 2)
    #expect(
      plain[0].values == [1, 2] && plain[1].values == [2.25, 1.25, -2.75, 0.25, 3.25, -2.75])
  }

  @Test(
    "what does not fit is named",
    arguments: [
      ("vectors_per_class", AttributeValue.ints([2, 1])), ("vectors_per_class", .ints([2, -1, 4])),
      ("vectors_per_class", .ints([.max, .max, 1])), ("coefficients", .floats([1])),
      ("rho", .floats([1])), ("prob_a", .floats([1, 2, 3])), ("support_vectors", .floats([1, 2])),
      ("kernel_type", .string("RBG")), ("kernel_params", .floats([1])),
      ("classlabels_ints", .ints([])), ("post_transform", .string("x")),
    ] as [(String, AttributeValue)])
  func svmFaults(_ name: String, _ value: AttributeValue) throws {
    let x = try tensor(rows(2, 3).flatMap { $0 }, [2, 3])
    let error = #expect(throws: MartletError.self) {
      try run(ml("SVMClassifier"), [x], machine([name: value]), outputs: 2)
    }
    #expect(error?.code == .invalidArgument)
  }
}
