import MartletBackends
import MartletCore

/// Runs its body again and again, with values that each iteration hands to the next.
///
/// Inputs: M (int64, the most iterations; absent: no bound), cond (bool; absent: true), then the
/// carried values. The body takes (iteration, cond, carried...) and gives (cond, carried..., scan
/// outputs...); scan outputs of all iterations are stacked along a new first axis. Carried values may
/// change their shape, not their dtype or kind. The body's condition ends the loop also where `cond` is absent,
/// as in ONNX Runtime. A loop without a bound goes on until its condition, a progress function, or a
/// limit of the run's ends it. Source: ONNX Loop-25.
package struct Loop: Operator {
  package static let schema = OperatorSchema(
    name: "Loop", inputs: ["M", "cond", "v_initial"], requiredInputs: 0, isVariadic: true,
    outputs: ["v_final_and_scan_outputs"], traits: [.anyElement, .anyKind, .narrow(.carried)])

  /// How often the body is asked for types that hold in every iteration.
  private static let inferenceRounds = 6

  private let body: any RegionDescription
  private let bodyIndex: Int
  private let carriedCount: Int
  private let scanCount: Int

  package init(_ node: OperatorNode) throws(MartletError) {
    bodyIndex = try node.regionIndex("body", of: "Loop")
    body = node.regions[bodyIndex]
    carriedCount = max(node.inputCount - 2, 0)
    scanCount = body.outputCount - 1 - carriedCount
    guard body.inputCount == carriedCount + 2 else {
      throw MartletError(
        .invalidModel,
        "Loop: the body takes \(body.inputCount) inputs, expected iteration, condition and \(carriedCount) carried values",
        operatorName: "Loop", input: "body", expected: "\(carriedCount + 2) inputs",
        actual: "\(body.inputCount)")
    }
    guard scanCount >= 0, carriedCount + scanCount >= node.outputCount else {
      throw MartletError(
        .invalidModel,
        "Loop: the body gives \(body.outputCount) outputs, expected a condition, \(carriedCount) carried values and what the node's \(node.outputCount) outputs are made of",
        operatorName: "Loop", input: "body",
        expected: "at least \(max(carriedCount, node.outputCount) + 1) outputs",
        actual: "\(body.outputCount)")
    }
  }

  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    var carried: [ValueType] = []
    for index in 0..<carriedCount {
      carried.append(inputs.type(index + 2)?.withoutElements ?? .unknown())
    }
    let fixed = [ValueType(dtype: .int64, shape: []), ValueType(dtype: .bool, shape: [])]
    var results = try body.infer(fixed + carried)
    // What an iteration changes is unknown in the next one, and so on from value to value.
    var isStable = false
    var rounds = min(carriedCount + 1, Loop.inferenceRounds)
    while !isStable {
      isStable = true
      for index in 0..<carriedCount {
        let result = results[index + 1]
        if let before = carried[index].dtype, let after = result.dtype, before != after {
          throw MartletError(
            .invalidDType,
            "Loop: carried value \(index) is \(before) before an iteration and \(after) after it",
            operatorName: "Loop", input: "v_initial", expected: "\(before)", actual: "\(after)")
        }
        if carried[index].compound != nil || result.compound != nil {
          let kind = try Loop.commonKind(carried[index], result, index)
          if kind != carried[index].kind {
            isStable = false
            carried[index] = ValueType(kind)
          }
          continue
        }
        let common = carried[index].common(with: result)
        if common.shape != carried[index].shape || common.dtype != carried[index].dtype {
          isStable = false
          carried[index] = ValueType(
            dtype: carried[index].dtype ?? result.dtype, shape: common.shape)
        }
      }
      if isStable { break }
      rounds -= 1
      if rounds == 0 {
        // Nothing is known of shapes that may yet change: that holds in every iteration.
        carried = carried.map(\.withoutExtents)
        isStable = true
      }
      results = try body.infer(fixed + carried)
    }
    let scans = results.dropFirst(carriedCount + 1).map { type in
      ValueType(dtype: type.dtype, shape: type.shape.map { [.unknown] + $0 })
    }
    return carried + scans
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    guard bodyIndex < context.regions.count else { throw RegionError.missing("Loop") }
    let region = context.regions[bodyIndex]
    let trips = inputs.optional(0) == nil ? Int.max : try inputs.integer(0)
    var goesOn = inputs.optional(1) == nil ? true : try inputs.condition(1)
    defer { region.finish() }
    var kinds: [CarriedKind?] = []
    for index in 0..<carriedCount {
      let value = inputs.value(index + 2)
      kinds.append(CarriedKind(value))
      region.give(value, to: index + 2)
    }
    region.give(.tensor(try SmallTensors.scalar(1, .bool)), to: 1)
    var number = try SmallTensors.scalar(0, .int64)
    var scans = [ScanOutput](repeating: ScanOutput(), count: scanCount)
    var iteration = 0
    while goesOn, iteration < trips {
      try context.beginIteration()
      number.typed(Int64.self)[0] = Int64(iteration)
      region.give(.tensor(number), to: 0)
      try region.step(context)
      goesOn = try Loop.condition(region.output(0))
      var isNumberHeld = false
      for index in 0..<carriedCount {
        let value = region.output(index + 1)
        if let before = kinds[index] { try before.check(value, index, iteration) }
        kinds[index] = CarriedKind(value)
        if Loop.mayHold(value, number) { isNumberHeld = true }
        region.give(value, to: index + 2)
      }
      for index in scans.indices {
        let value = region.output(carriedCount + 1 + index)
        if Loop.mayHold(value, number) { isNumberHeld = true }
        try scans[index].append(try region.lasting(value), "Loop", index)
      }
      if isNumberHeld { number = try SmallTensors.scalar(0, .int64) }
      iteration += 1
    }
    for index in 0..<carriedCount {
      context.deliver(
        iteration == 0 ? inputs.value(index + 2) : try region.lasting(region.output(index + 1)))
    }
    guard scanCount > 0 else { return }
    let types = scans.contains { $0.isEmpty } ? try emptyTypes(inputs) : []
    for index in scans.indices {
      let output = carriedCount + index
      if scans[index].isEmpty {
        context.deliver(try ScanOutput.empty(types[index], output, context))
      } else {
        context.deliver(try scans[index].stacked(output, context))
      }
    }
  }

  /// The types of scan outputs when no iteration ran.
  private func emptyTypes(_ inputs: Inputs) throws(MartletError) -> [ValueType] {
    let fixed = [ValueType(dtype: .int64, shape: []), ValueType(dtype: .bool, shape: [])]
    let types = try body.infer(
      fixed
        + (0..<carriedCount).map { index in
          inputs.value(index + 2).map { ValueType($0.kind) }
        })
    return Array(types.dropFirst(carriedCount + 1))
  }

  /// What holds of a carried value before and after an iteration that is no tensor in one of them.
  private static func commonKind(
    _ before: ValueType, _ after: ValueType, _ index: Int
  ) throws(MartletError) -> ValueKind {
    if let common = before.kind.common(with: after.kind) { return common }
    // Nothing known is no contradiction, and what is in an optional may take its place.
    if before.kind == .unknownTensor || after.kind == .unknownTensor { return .unknownTensor }
    if case .optional(let element) = before.kind, element.agrees(with: after.kind) {
      return .unknownTensor
    }
    throw MartletError(
      .invalidDType,
      "Loop: carried value \(index) is \(before.text) before an iteration and \(after.text) after it",
      operatorName: "Loop", input: "v_initial", expected: before.text, actual: after.text)
  }

  /// Whether `value` may be a view of `tensor`.
  private static func mayHold(_ value: Value?, _ tensor: Tensor) -> Bool {
    switch value {
    case .tensor(let other)?: other.storage === tensor.storage
    case nil: false
    default: true
    }
  }

  private static func condition(_ value: Value?) throws(MartletError) -> Bool {
    guard let tensor = value?.tensor, tensor.dtype == .bool, tensor.count == 1 else {
      let actual = value?.summary ?? "nothing"
      throw MartletError(
        .invalidShape, "Loop: the body's condition is \(actual), not one bool",
        operatorName: "Loop", input: "body", expected: "one bool", actual: actual)
    }
    return tensor.typed(UInt8.self)[0] != 0
  }
}

/// What a carried value stays through all iterations.
private enum CarriedKind {
  case tensor(DType)
  case sequence, optional, map

  init?(_ value: Value?) {
    switch value {
    case nil: return nil
    case .tensor(let tensor)?: self = .tensor(tensor.dtype)
    case .state(let state)?: self = .tensor(state.tensor.dtype)
    case .sequence?: self = .sequence
    case .optional?: self = .optional
    case .map?: self = .map
    }
  }

  private var summary: String {
    switch self {
    case .tensor(let dtype): "\(dtype)"
    case .sequence: "a sequence"
    case .optional: "an optional"
    case .map: "a map"
    }
  }

  /// Throws where an iteration has made another kind of value of this one.
  func check(_ value: Value?, _ index: Int, _ iteration: Int) throws(MartletError) {
    let after = CarriedKind(value)
    switch (self, after) {
    case (.tensor(let x), .tensor(let y)?) where x == y: return
    case (.sequence, .sequence?), (.optional, _?), (.map, .map?), (.tensor, nil): return
    default:
      let actual = after?.summary ?? "nothing"
      throw MartletError(
        .invalidDType,
        "Loop: carried value \(index) is \(summary) before iteration \(iteration) and \(actual) after it",
        operatorName: "Loop", input: "v_initial", expected: summary, actual: actual)
    }
  }
}
