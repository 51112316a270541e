import CMartlet
import MartletCore

/// The `martlet_tensor **` through which results leave: each holds NULL, for a new tensor, or a
/// tensor of the caller's, to be written.
struct ResultSlots {
  private let slots: UnsafeMutablePointer<OpaquePointer?>
  /// The caller's tensors, nil where a new one is wanted.
  let given: [Tensor?]

  private let parameter: String

  /// Looks into `count` slots; throws for a handle that is no tensor and for a packed weight.
  init(_ slots: UnsafeMutablePointer<OpaquePointer?>?, _ parameter: String, count: Int = 1)
    throws(MartletError)
  {
    self.slots = try required(slots, parameter)
    self.parameter = parameter
    var given: [Tensor?] = []
    for index in 0..<count {
      let name = ResultSlots.name(parameter, index, of: count)
      let object = try HandleTable.shared.resolveOptional(
        self.slots[index], name, as: TensorObject.self)
      if let object, object.isPacked {
        throw MartletError(
          .invalidArgument, "\(name) is a packed weight, which is read-only", input: name,
          expected: "a writable tensor or NULL", actual: "a packed weight")
      }
      given.append(object?.tensor)
    }
    self.given = given
  }

  private static func name(_ parameter: String, _ index: Int, of count: Int) -> String {
    count == 1 ? parameter : "\(parameter)[\(index)]"
  }

  /// The caller's tensors, checked; of a run of a model that is the executor's to do.
  func destinations() throws(MartletError) -> Destinations {
    try Destinations(given) { ResultSlots.name(parameter, $0, of: given.count) }
  }

  /// Puts computed results where they are to be and hands out the others; on failure no slot has changed.
  func receive(
    _ results: [Tensor], _ destinations: Destinations
  ) throws(MartletError) {
    let received = try destinations.receive(results.map { .tensor($0) }) {
      tensor throws(MartletError) in try tensor.copied()
    }
    try deliver(received.compactMap(\.tensor))
  }

  /// Hands out the results that the caller gave no tensor for; the others are where they are to be. On
  /// failure no slot has changed.
  func deliver(_ results: [Tensor]) throws(MartletError) {
    var handles: [OpaquePointer?] = []
    do throws(MartletError) {
      for (result, tensor) in zip(results, given) {
        handles.append(tensor == nil ? try HandleTable.shared.create(result) : nil)
      }
    } catch {
      for handle in handles { try HandleTable.shared.release(handle, "result", .tensor) }
      throw error
    }
    for (index, handle) in handles.enumerated() where given[index] == nil {
      slots[index] = handle
    }
  }
}
