import MartletBackends
import MartletCore
import Testing

@testable import MartletOperators

private let regressor = "ai.onnx.ml.TreeEnsembleRegressor"
private let classifier = "ai.onnx.ml.TreeEnsembleClassifier"

@Suite struct TreeEnsembleTests {
  @Test(
    "every comparison goes where it says, NaN where it is tracked",
    arguments: TreeCase.modes, [DType.float32, .float64])
  func modes(_ mode: String, _ dtype: DType) throws {
    var forest = TreeCase()
    forest.nodes = [
      TreeCase.Node(id: 0, value: 0.5, mode: mode, onTrue: 1, onFalse: 2, tracksTrue: false),
      TreeCase.Node(id: 1, votes: [(0, 1)]), TreeCase.Node(id: 2, votes: [(0, 2)]),
    ]
    let below = dtype == .float32 ? Double(Float(0.5).nextDown) : 0.5.nextDown
    let above = dtype == .float32 ? Double(Float(0.5).nextUp) : 0.5.nextUp
    let inf = Double.infinity
    let x: [Double] = [0.5, below, above, 0, -0.0, .nan, inf, -inf]
    let thresholds: [Double] = [0.5, 0, -0.0, inf, -inf, .nan]
    for value in thresholds {
      for tracks in [false, true] {
        forest.nodes[0].value = value
        forest.nodes[0].tracksTrue = tracks
        let expected = x.flatMap { forest.totals([$0]) }
        let input = try tensor(x, [x.count, 1], dtype)
        #expect(try values(regressor, [input], forest.attributes) == expected, "\(value) \(tracks)")
      }
    }
  }

  @Test(
    "forests say what their comparisons say one by one, for any number of rows",
    arguments: [1, 2, 7, 8, 9, 64, 65, 203], [1, 3])
  func oracle(_ rows: Int, _ targets: Int) throws {
    var random = CaseGenerator(state: UInt64(rows * 8 + targets) &* 0x9E37_79B9_7F4A_7C15)
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"] {
      var forest = TreeCase.random(&random, trees: 70, depth: 5, features: 4, targets: targets)
      forest.aggregate = aggregate
      forest.base = targets == 1 ? [] : [1, -2, 0.5]
      let x = random.rows(rows, 4)
      var expected: [Double] = []
      for row in 0..<rows { expected += forest.totals(Array(x[row * 4..<row * 4 + 4])) }
      for dtype in [DType.float32, .float64] {
        let result = try run(regressor, [tensor(x, [rows, 4], dtype)], forest.attributes)[0]
        #expect(result.shape == [rows, targets] && result.dtype == .float32)
        #expect(agree(result.values, expected, 1e-6), "\(aggregate) \(dtype)")
      }
    }
  }

  @Test("integers are compared as they are", arguments: [DType.int32, .int64]) func integers(
    _ dtype: DType
  ) throws {
    var forest = TreeCase()
    forest.nodes = [
      TreeCase.Node(id: 0, value: 16_777_216, mode: "BRANCH_LEQ", onTrue: 1, onFalse: 2),
      TreeCase.Node(id: 1, votes: [(0, 1)]), TreeCase.Node(id: 2, votes: [(0, 2)]),
    ]
    let x = try tensor([16_777_216, 16_777_217, -3], [3, 1], dtype)
    #expect(try values(regressor, [x], forest.attributes) == [1, 2, 1])
  }

  @Test("bits depend neither on threads nor on how many rows there are") func sameBits() throws {
    var random = CaseGenerator(state: 77)
    let forest = TreeCase.random(
      &random, trees: 300, depth: 6, features: 5, modes: ["BRANCH_LEQ"])
    var attributes = forest.attributes
    guard case .floats(let weights)? = attributes["target_weights"] else { return }
    attributes["target_weights"] = .floats(weights.map { $0 / 3 })
    let x = random.rows(150, 5, odd: false).map { $0 / 7 }
    defer { try? ThreadPool.shared.setThreadCount(0) }
    try ThreadPool.shared.setThreadCount(1)
    let all = try values(regressor, [tensor(x, [150, 5])], attributes)
    for threads in [2, 3] {
      try ThreadPool.shared.setThreadCount(threads)
      #expect(try values(regressor, [tensor(x, [150, 5])], attributes) == all)
      for count in [1, 3, 9, 40] {
        let part = try tensor(Array(x[..<(count * 5)]), [count, 5])
        #expect(try values(regressor, [part], attributes) == Array(all[..<count]))
      }
    }
  }

  @Test("float64 thresholds and weights are kept") func doubles() throws {
    var forest = TreeCase()
    forest.nodes = [
      TreeCase.Node(id: 0, mode: "BRANCH_LT", onTrue: 1, onFalse: 2),
      TreeCase.Node(id: 1, votes: [(0, 0)]), TreeCase.Node(id: 2, votes: [(0, 0)]),
    ]
    var attributes = forest.attributes
    attributes["nodes_values"] = nil
    attributes["target_weights"] = nil
    attributes["nodes_values_as_tensor"] = .tensor(try tensor([0.1, 0, 0], [3], .float64))
    attributes["target_weights_as_tensor"] = .tensor(try tensor([0.1, 0.7], [2], .float64))
    let x = try tensor([0.1, 0.1.nextDown], [2, 1], .float64)
    #expect(agree(try values(regressor, [x], attributes), [0.7, 0.1], 1e-7))
    // The nearest float32 of 0.1 is above it.
    let single = try tensor([0.1, 0.0999], [2, 1])
    #expect(agree(try values(regressor, [single], attributes), [0.7, 0.1], 1e-7))
  }

  @Test("trees of one leaf, no trees, one row as a vector, and rows without features")
  func edges() throws {
    var forest = TreeCase()
    forest.nodes = [TreeCase.Node(tree: 3, id: 0, votes: [(0, 2.5)])]
    #expect(try values(regressor, [tensor([9, 9], [2, 1])], forest.attributes) == [2.5, 2.5])
    #expect(try values(regressor, [tensor([9, 9], [2])], forest.attributes) == [2.5])
    #expect(try values(regressor, [tensor([], [2, 0])], forest.attributes) == [2.5, 2.5])
    #expect(try run(regressor, [tensor([], [0, 3])], forest.attributes)[0].shape == [0, 1])
    forest.nodes = []
    forest.base = [1.5]
    #expect(try values(regressor, [tensor([9, 9], [2, 1])], forest.attributes) == [1.5, 1.5])
  }

  @Test("trees may stand apart, in any order, with any numbers") func scattered() throws {
    var random = CaseGenerator(state: 5)
    var forest = TreeCase.random(&random, trees: 6, depth: 4, features: 3)
    let x = random.rows(40, 3)
    let expected = try values(regressor, [tensor(x, [40, 3])], forest.attributes)
    for index in forest.nodes.indices {
      forest.nodes[index].id = forest.nodes[index].id * 7 + 100
      forest.nodes[index].onTrue = forest.nodes[index].onTrue * 7 + 100
      forest.nodes[index].onFalse = forest.nodes[index].onFalse * 7 + 100
      forest.nodes[index].tree = -forest.nodes[index].tree
    }
    #expect(try values(regressor, [tensor(x, [40, 3])], forest.attributes) == expected)
    // The first node of each tree stays first.
    let roots = forest.nodes.filter { $0.id == 100 }
    forest.nodes = roots + forest.nodes.filter { $0.id != 100 }.reversed()
    #expect(
      agree(try values(regressor, [tensor(x, [40, 3])], forest.attributes), expected, 1e-6))
  }

  @Test("what is no forest is named: cycles, shared nodes, holes, wrong lengths and words")
  func faults() throws {
    var forest = TreeCase()
    forest.nodes = [
      TreeCase.Node(id: 0, mode: "BRANCH_LEQ", onTrue: 1, onFalse: 2),
      TreeCase.Node(id: 1, mode: "BRANCH_LEQ", onTrue: 3, onFalse: 4),
      TreeCase.Node(id: 2, votes: [(0, 1)]), TreeCase.Node(id: 3, votes: [(0, 1)]),
      TreeCase.Node(id: 4, votes: [(0, 1)]),
    ]
    let good = forest.attributes
    let x = try tensor([1, 2], [2, 1])
    _ = try run(regressor, [x], good)
    let changes: [(String, AttributeValue?, String)] = [
      ("nodes_truenodeids", .ints([1, 0, 0, 0, 0]), "reached twice"),
      ("nodes_truenodeids", .ints([1, 1, 0, 0, 0]), "reached twice"),
      ("nodes_falsenodeids", .ints([2, 9, 0, 0, 0]), "leads from node 1 to 9"),
      ("nodes_falsenodeids", .ints([2, 4]), "has 2 elements"),
      ("nodes_nodeids", .ints([0, 1, 2, 3, 3]), "is there twice"),
      ("nodes_featureids", .ints([0, -1, 0, 0, 0]), "is -1 at node 1"),
      ("nodes_featureids", .ints([0, 1 << 40, 0, 0, 0]), "at node 1"),
      ("nodes_modes", .strings(["BRANCH_LEQ", "BRANCH", "LEAF", "LEAF", "LEAF"]), "'BRANCH'"),
      ("nodes_values", .floats([1]), "has 1 elements"), ("target_ids", .ints([0, 0, 1]), "is 1"),
      ("target_nodeids", .ints([2, 3, 9]), "is 9"), ("target_weights", nil, "has 0 elements"),
      ("n_targets", .int(0), "is 0"), ("n_targets", .int(.max), "is"),
      ("base_values", .floats([1, 2]), "has 2 elements"),
      ("aggregate_function", .string("MEAN"), "'MEAN'"),
      ("post_transform", .string("SIGMOID"), "'SIGMOID'"),
    ]
    for (name, value, text) in changes {
      let error = #expect(throws: MartletError.self) {
        try run(regressor, [x], good.merging([name: value ?? .floats([])]) { $1 })
      }
      #expect(error?.code == .invalidArgument && error?.message.contains(text) == true, "\(name)")
      #expect(error?.message.hasPrefix(regressor) == true)
    }
    var wide = forest
    wide.nodes[1].feature = 1
    let error = #expect(throws: MartletError.self) { try run(regressor, [x], wide.attributes) }
    #expect(error?.code == .invalidShape && error?.expected == "2 features or more")
    for bad in [try tensor([1], []), try tensor([1], [1, 1, 1])] {
      #expect(throws: MartletError.self) { try run(regressor, [bad], good) }
    }
    #expect(throws: MartletError.self) { try run(regressor, [tensor([1], [1, 1], .int8)], good) }
  }

  @Test("a node whose branches lead to the same child is a tree") func twins() throws {
    var forest = TreeCase()
    forest.nodes = [
      TreeCase.Node(id: 0, mode: "BRANCH_LEQ", onTrue: 1, onFalse: 1),
      TreeCase.Node(id: 1, value: 3, mode: "BRANCH_EQ", onTrue: 2, onFalse: 2),
      TreeCase.Node(id: 2, votes: [(0, 4)]),
    ]
    #expect(try values(regressor, [tensor([-1, 1, 3], [3, 1])], forest.attributes) == [4, 4, 4])
  }

  @Test("a chain of a hundred thousand nodes is walked, not recursed into") func deep() throws {
    let count = 100_000
    var forest = TreeCase()
    for index in 0..<count {
      forest.nodes.append(
        TreeCase.Node(
          id: 2 * index, value: Double(index), mode: "BRANCH_LEQ", onTrue: 2 * index + 1,
          onFalse: 2 * index + 2))
      forest.nodes.append(TreeCase.Node(id: 2 * index + 1, votes: [(0, Double(index))]))
    }
    forest.nodes.append(TreeCase.Node(id: 2 * count, votes: [(0, -1)]))
    let x = try tensor([0, 99_999, 5e6, 1234.5], [4, 1])
    #expect(try values(regressor, [x], forest.attributes) == [0, 99_999, -1, 1235])
  }

  /// Votes of one leaf for each of four values, 0 to 3, in the attributes of the classifier.
  private func votes(
    _ weights: [[Float]], classes: [Int], _ more: [String: AttributeValue]
  ) -> [String: AttributeValue] {
    let leaves = (3...6).flatMap { [Int](repeating: $0, count: classes.count) }
    return [
      "nodes_treeids": .ints([Int](repeating: 0, count: 7)),
      "nodes_nodeids": .ints([0, 1, 2, 3, 4, 5, 6]),
      "nodes_featureids": .ints([Int](repeating: 0, count: 7)),
      "nodes_values": .floats([1.5, 0.5, 2.5, 0, 0, 0, 0]),
      "nodes_modes": .strings(
        [String](repeating: "BRANCH_LEQ", count: 3) + [String](repeating: "LEAF", count: 4)),
      "nodes_truenodeids": .ints([1, 3, 5, 0, 0, 0, 0]),
      "nodes_falsenodeids": .ints([2, 4, 6, 0, 0, 0, 0]),
      "class_treeids": .ints(leaves.map { _ in 0 }), "class_nodeids": .ints(leaves),
      "class_ids": .ints((0..<4).flatMap { _ in classes }),
      "class_weights": .floats(weights.flatMap { $0 }),
    ].merging(more) { $1 }
  }

  @Test("one class's votes are shares of two, or margins between them") func binary() throws {
    let x = try tensor([0, 1, 2, 3], [4, 1])
    let shares: [[Float]] = [[0.125], [0.375], [0.625], [1]]
    let margins: [[Float]] = [[-2], [-0.5], [0.5], [2]]
    let labels: [String: AttributeValue] = ["classlabels_int64s": .ints([5, 7])]
    var result = try run(classifier, [x], votes(shares, classes: [0], labels), outputs: 2)
    #expect(result[0].values == [5, 5, 7, 7] && result[0].dtype == .int64)
    #expect(result[1].values == [0.875, 0.125, 0.625, 0.375, 0.375, 0.625, 0, 1])
    result = try run(classifier, [x], votes(margins, classes: [0], labels), outputs: 2)
    #expect(result[0].values == [5, 5, 7, 7])
    #expect(result[1].values == [2, -2, 0.5, -0.5, -0.5, 0.5, -2, 2])
    let logistic = labels.merging(["post_transform": .string("LOGISTIC")]) { $1 }
    result = try run(classifier, [x], votes(margins, classes: [0], logistic), outputs: 2)
    #expect(agree(Array(result[1].values[..<2]), [0.880797, 0.119203], 1e-6))
    let softmax = labels.merging(["post_transform": .string("SOFTMAX")]) { $1 }
    result = try run(classifier, [x], votes(margins, classes: [0], softmax), outputs: 2)
    #expect(agree(Array(result[1].values[..<2]), [0.982014, 0.017986], 1e-6))
    let base = labels.merging(["base_values": .floats([0.25])]) { $1 }
    result = try run(classifier, [x], votes(shares, classes: [0], base), outputs: 2)
    #expect(result[0].values == [5, 7, 7, 7])
  }

  @Test("the first of the classes with most votes is the top one") func several() throws {
    let x = try tensor([0, 1, 2, 3], [4, 1])
    let weights: [[Float]] = [[1, 7, 2], [5, 2, 3], [3, 3, 4], [2, 4, 4]]
    let labels: [String: AttributeValue] = ["classlabels_strings": .strings(["a", "", "c"])]
    let result = try run(classifier, [x], votes(weights, classes: [0, 1, 2], labels), outputs: 2)
    #expect(result[0].strings == ["", "a", "c", ""])
    #expect(result[1].values == weights.flatMap { $0 }.map { Double($0) })
    let both = try run(
      classifier, [x],
      votes(
        [[9, 1], [6, 4], [4, 6], [2, 8]], classes: [0, 1],
        ["classlabels_int64s": .ints([5, 7]), "base_values": .floats([0, 3])]), outputs: 2)
    #expect(both[0].values == [5, 7, 7, 7])
    #expect(both[1].values == [9, 4, 6, 7, 4, 9, 2, 11])
  }

  @Test("labels are given once, and base values are as many as classes") func classifierFaults()
    throws
  {
    let x = try tensor([0], [1, 1])
    let weights: [[Float]] = [[1, 7], [5, 2], [3, 3], [2, 4]]
    let labels = AttributeValue.ints([1, 2])
    let wrong: [[String: AttributeValue]] = [
      [:], ["classlabels_int64s": labels, "classlabels_strings": .strings(["a"])],
      ["classlabels_int64s": .ints([1])],
      ["classlabels_int64s": labels, "base_values": .floats([1, 2, 3])],
    ]
    for more in wrong {
      #expect(throws: MartletError.self) {
        try run(classifier, [x], votes(weights, classes: [0, 1], more), outputs: 2)
      }
    }
  }

  @Test("types are known: rows from the input, columns from the model") func inference() throws {
    var random = CaseGenerator(state: 3)
    let forest = TreeCase.random(&random, trees: 2, depth: 2, features: 2, targets: 3)
    let rows = ValueType(dtype: .float64, shape: [.symbol("n"), .known(2)])
    let result = try infer(regressor, [rows], forest.attributes)
    #expect(result[0].text == "float32[n, 3]")
    #expect(throws: MartletError.self) {
      try infer(regressor, [ValueType(dtype: .float32, shape: [])], forest.attributes)
    }
  }
}
