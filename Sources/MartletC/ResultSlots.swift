import CMartlet
import MartletCore
import MartletGraph

/// The `martlet_tensor **` through which results leave: each holds NULL, for a new tensor, or a
/// tensor of the caller's, to be written.
struct ResultSlots {
  private let slots: UnsafeMutablePointer<OpaquePointer?>
  /// The caller's tensors, nil where a new one is wanted.
  let destinations: [Tensor?]

  /// Looks into `count` slots; throws for a handle that is no tensor and for one that is read-only.
  init(_ slots: UnsafeMutablePointer<OpaquePointer?>?, _ parameter: String, count: Int = 1)
    throws(MartletError)
  {
    let slots = try required(slots, parameter)
    var destinations: [Tensor?] = []
    for index in 0..<count {
      let name = count == 1 ? parameter : "\(parameter)[\(index)]"
      let object = try HandleTable.shared.resolveOptional(
        slots[index], name, as: TensorObject.self)
      if let object, object.isReadOnly {
        throw MartletError(
          .invalidArgument, "\(name) is a read-only tensor, which cannot take a result",
          input: name, expected: "a writable tensor or NULL", actual: "a read-only tensor")
      }
      if let tensor = object?.tensor,
        zip(tensor.shape, tensor.strides).contains(where: { $0 > 1 && $1 == 0 })
      {
        throw MartletError(
          .invalidArgument, "elements of \(name) share memory, so it cannot take a result",
          input: name, expected: "strides other than 0", actual: Shape.text(tensor.strides))
      }
      destinations.append(object?.tensor)
    }
    self.slots = slots
    self.destinations = destinations
  }

  /// The caller's tensors that a computation on `inputs` may write as it goes: those without gaps
  /// that share no memory with an input or with each other. The rest are copied to at the end.
  func usableDestinations(_ inputs: [Tensor?]) -> [Tensor?] {
    destinations.enumerated().map { index, destination in
      guard let destination, destination.isContiguous else { return nil }
      let others = destinations.enumerated().compactMap { $0 == index ? nil : $1 }
      let isShared = (inputs.compactMap { $0 } + others).contains { $0.overlaps(destination) }
      return isShared ? nil : destination
    }
  }

  /// Hands results over; on failure no slot has changed.
  func deliver(_ results: [Tensor]) throws(MartletError) {
    for (index, (result, destination)) in zip(results, destinations).enumerated() {
      if let destination { try ResultSlots.check(result, destination, index) }
    }
    // Results that overlap a destination must leave it before it is written.
    var values = results
    for index in values.indices where destinations[index] == nil || isMisplaced(values, index) {
      if destinations.contains(where: { $0.map { $0.overlaps(values[index]) } ?? false }) {
        values[index] = try values[index].copied()
      }
    }
    var handles: [OpaquePointer?] = []
    do throws(MartletError) {
      for (value, destination) in zip(values, destinations) {
        handles.append(destination == nil ? try HandleTable.shared.create(value) : nil)
      }
    } catch {
      for handle in handles {
        try HandleTable.shared.release(handle, "result", .tensor)
      }
      throw error
    }
    for index in values.indices {
      if let destination = destinations[index] {
        if isMisplaced(values, index) { values[index].copyElements(to: destination) }
      } else {
        slots[index] = handles[index]
      }
    }
  }

  /// Whether result `index` is not yet in the tensor that it is meant for.
  private func isMisplaced(_ values: [Tensor], _ index: Int) -> Bool {
    guard let destination = destinations[index] else { return false }
    return !destination.isSameView(as: values[index])
  }

  private static func check(_ result: Tensor, _ destination: Tensor, _ index: Int)
    throws(MartletError)
  {
    guard destination.dtype == result.dtype else {
      throw MartletError(
        .invalidDType,
        "result \(index) has dtype \(result.dtype), the tensor given for it \(destination.dtype)",
        expected: "\(result.dtype)", actual: "\(destination.dtype)")
    }
    guard destination.shape == result.shape else {
      throw MartletError(
        .invalidShape,
        "result \(index) has shape \(Shape.text(result.shape)), the tensor given for it \(Shape.text(destination.shape))",
        expected: Shape.text(result.shape), actual: Shape.text(destination.shape))
    }
  }
}
