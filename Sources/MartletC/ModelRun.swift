import CMartlet
import MartletCore
import MartletGraph
import MartletRuntime

/// One run of a model on behalf of a caller: its arguments, checked.
struct ModelRun {
  private let inputs: [Value]
  /// By name, of initialisers that the model lets be replaced.
  private let replacing: [String: Value]
  private let slots: ResultSlots
  /// For each slot, the model's output.
  private let outputIndices: [Int]
  private let outputCount: Int

  /// Inputs and outputs in the model's order.
  init(
    _ object: ModelObject, _ inputs: UnsafePointer<OpaquePointer?>?, _ inputCount: Int,
    _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ slotCount: Int
  ) throws(MartletError) {
    guard inputCount == object.inputs.count else {
      throw MartletError(
        .invalidArgument,
        "the model has \(object.inputs.count) inputs, got \(UInt(bitPattern: inputCount))",
        input: "input_count", expected: "\(object.inputs.count)",
        actual: "\(UInt(bitPattern: inputCount))")
    }
    self.inputs = try ModelRun.tensors(inputs, inputCount)
    replacing = [:]
    outputIndices = Array(0..<(try ModelRun.checked(slotCount, object)))
    slots = try ResultSlots(outputs, "outputs", count: slotCount)
    outputCount = object.outputs.count
  }

  /// Inputs, initialisers to replace and outputs by name.
  init(
    _ object: ModelObject, _ inputNames: UnsafePointer<UnsafePointer<CChar>?>?,
    _ inputs: UnsafePointer<OpaquePointer?>?, _ inputCount: Int,
    _ outputNames: UnsafePointer<UnsafePointer<CChar>?>?,
    _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ slotCount: Int
  ) throws(MartletError) {
    let names = try texts(inputNames, inputCount, "input_names")
    let tensors = try ModelRun.tensors(inputs, inputCount)
    (self.inputs, replacing) = try object.model.ordered(tensors, named: names)
    if outputNames == nil {
      outputIndices = Array(0..<(try ModelRun.checked(slotCount, object)))
    } else {
      outputIndices = try object.model.outputNames.positions(
        of: try texts(outputNames, try MartletC.outputCount(slotCount), "output_names"))
    }
    slots = try ResultSlots(outputs, "outputs", count: slotCount)
    outputCount = object.outputs.count
  }

  /// Runs and delivers.
  func perform(_ session: RunSession, progress: ProgressCallback?) throws(MartletError) {
    var destinations: [Tensor?] = []
    if slots.given.contains(where: { $0 != nil }) {
      destinations = [Tensor?](repeating: nil, count: outputCount)
      for (index, destination) in zip(outputIndices, slots.given) {
        destinations[index] = destination
      }
    }
    let results = try session.run(
      values: inputs, replacing: replacing, destinations: destinations, progress: progress)
    var wanted: [Tensor] = []
    wanted.reserveCapacity(outputIndices.count)
    for index in outputIndices { wanted.append(try session.tensor(results, output: index)) }
    try slots.deliver(wanted)
  }

  private static func tensors(_ handles: UnsafePointer<OpaquePointer?>?, _ count: Int)
    throws(MartletError) -> [Value]
  {
    var tensors: [Value] = []
    for (index, handle) in try array(handles, count, "inputs").enumerated() {
      guard handle != nil else {
        throw MartletError(
          .invalidArgument, "inputs[\(index)] is NULL", input: "inputs[\(index)]",
          expected: "a tensor", actual: "NULL")
      }
      tensors.append(.tensor(try HandleTable.shared.tensor(handle, "inputs[\(index)]")))
    }
    return tensors
  }

  private static func checked(_ count: Int, _ object: ModelObject) throws(MartletError) -> Int {
    guard count >= 1, count <= object.outputs.count else {
      throw MartletError(
        .invalidArgument,
        "the model has \(object.outputs.count) outputs, \(UInt(bitPattern: count)) were asked for",
        input: "output_count", expected: "1...\(object.outputs.count)",
        actual: "\(UInt(bitPattern: count))")
    }
    return count
  }
}
