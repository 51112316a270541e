import MartletBackends
import MartletCore

/// What a classifier calls its classes: integers or strings.
struct ClassLabels: Sendable {
  private enum Labels: Sendable {
    case integers([Int64])
    case texts([Text?])
  }

  private let labels: Labels

  /// Throws unless exactly one of the two attributes has labels.
  init(_ attributes: Attributes, integers: String, strings: String) throws(MartletError) {
    let numbers = try attributes.optionalInts(integers) ?? []
    let texts = try attributes.optionalStrings(strings) ?? []
    guard numbers.isEmpty != texts.isEmpty else {
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): expected labels in one of \(integers) and \(strings), got \(numbers.count) and \(texts.count)",
        operatorName: attributes.operatorName, input: integers, expected: "labels in one of them",
        actual: "\(numbers.count) and \(texts.count) labels")
    }
    if texts.isEmpty {
      labels = .integers(numbers.map { Int64($0) })
    } else {
      labels = .texts(try ClassLabels.texts(texts))
    }
  }

  /// nil for those that are empty, as tensors have them.
  static func texts(_ strings: [String]) throws(MartletError) -> [Text?] {
    var texts: [Text?] = []
    texts.reserveCapacity(strings.count)
    for string in strings { texts.append(string.isEmpty ? nil : try Text(string)) }
    return texts
  }

  private init(_ labels: Labels) { self.labels = labels }

  var count: Int {
    switch labels {
    case .integers(let labels): labels.count
    case .texts(let labels): labels.count
    }
  }

  var dtype: DType {
    if case .integers = labels { .int64 } else { .string }
  }

  /// 0 and 1, of the same type: what the only class of a classifier is and is not.
  func yesAndNo() throws(MartletError) -> ClassLabels {
    switch labels {
    case .integers: ClassLabels(.integers([0, 1]))
    case .texts: ClassLabels(.texts(try ClassLabels.texts(["0", "1"])))
    }
  }

  /// All labels, a vector.
  func tensor(_ context: RunContext) throws(MartletError) -> Tensor {
    let tensor = try context.memory.fresh(dtype, [count])
    switch labels {
    case .integers(let labels): tensor.typed(Int64.self).update(from: labels, count: count)
    case .texts(let labels): tensor.setTexts(labels)
    }
    return tensor
  }

  /// Where the numbers of `rows` rows' classes are to be written, to be delivered when all are.
  func picks(_ rows: Int, _ context: RunContext) throws(MartletError) -> Tensor {
    dtype == .int64
      ? try context.output(0, .int64, [rows]) : try context.scratch(.int64, [rows])
  }

  /// The labels of these classes, output 0.
  func deliver(_ picks: Tensor, _ context: RunContext) throws(MartletError) {
    let numbers = picks.typed(Int64.self)
    switch labels {
    case .integers(let labels):
      for row in 0..<picks.count { numbers[row] = labels[Int(numbers[row])] }
      context.deliver(picks)
    case .texts(let labels):
      let output = try context.output(0, .string, [picks.count])
      try context.checkRoom(picks.count, "labels")
      output.setTexts((0..<picks.count).map { labels[Int(numbers[$0])] })
      context.deliver(output)
    }
  }
}
