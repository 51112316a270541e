import CMartlet
import MartletCore
import MartletOperators

// Section 14 of martlet.h: values that are no tensors.

@_cdecl("martlet_value_from_tensor") @implementation
public func martlet_value_from_tensor(
  _ tensor: OpaquePointer?, _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(value) { () throws(MartletError) in
    .tensor(try HandleTable.shared.tensor(tensor, "tensor"))
  }
}

@_cdecl("martlet_value_create_sequence") @implementation
public func martlet_value_create_sequence(
  _ elements: UnsafePointer<OpaquePointer?>?, _ count: Int, _ dtype: martlet_dtype,
  _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(value) { () throws(MartletError) in
    let type = dtype == 0 ? nil : try anyDType(dtype)
    let values = try HandleTable.shared.values(elements, count, "elements")
    try checkKinds(values, .tensor(type, nil), "elements", in: "a sequence")
    return .sequence(try ValueSequence(values, dtype: type))
  }
}

@_cdecl("martlet_value_create_optional") @implementation
public func martlet_value_create_optional(
  _ element: OpaquePointer?, _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(value) { () throws(MartletError) in
    .optional(element == nil ? nil : try HandleTable.shared.value(element, "element"))
  }
}

@_cdecl("martlet_value_create_map") @implementation
public func martlet_value_create_map(
  _ keys: OpaquePointer?, _ values: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(value) { () throws(MartletError) in
    let keys = try HandleTable.shared.tensor(keys, "keys")
    let values = try HandleTable.shared.values(values, count, "values")
    guard keys.dtype == .int64 || keys.dtype == .string else {
      throw MartletError(
        .invalidDType, "keys are \(keys.dtype)", input: "keys", expected: "int64 or string",
        actual: "\(keys.dtype)")
    }
    guard keys.shape == [values.count] else {
      throw MartletError(
        .invalidShape,
        "there are \(values.count) values for keys of shape \(Shape.text(keys.shape))",
        input: "keys", expected: Shape.text([values.count]), actual: Shape.text(keys.shape))
    }
    try checkKinds(values, .unknownTensor, "values", in: "a map")
    try checkKeys(keys)
    return .map(ValueMap(keys: keys, values: values))
  }
}

@_cdecl("martlet_value_create_state") @implementation
public func martlet_value_create_state(
  _ initial: OpaquePointer?, _ axis: Int32, _ capacity: Int64,
  _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(value) { () throws(MartletError) in
    let initial = try HandleTable.shared.tensor(initial, "initial")
    return .state(try State(initial, axis: Int(axis), capacity: Int(capacity)))
  }
}

@_cdecl("martlet_value_retain") @implementation
public func martlet_value_retain(_ value: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in try HandleTable.shared.retain(value, "value", .value) }
}

@_cdecl("martlet_value_release") @implementation
public func martlet_value_release(_ value: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in try HandleTable.shared.release(value, "value", .value) }
}

@_cdecl("martlet_value_kind_of") @implementation
public func martlet_value_kind_of(
  _ value: OpaquePointer?, _ kind: UnsafeMutablePointer<martlet_value_kind>?
) -> martlet_status {
  kind?.pointee = 0
  return boundary { () throws(MartletError) in
    let value = try HandleTable.shared.value(value, "value")
    try required(kind, "kind").pointee = value.code
  }
}

@_cdecl("martlet_value_count") @implementation
public func martlet_value_count(
  _ value: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  count?.pointee = 0
  return boundary { () throws(MartletError) in
    let value = try HandleTable.shared.value(value, "value")
    try required(count, "count").pointee = value.partCount
  }
}

@_cdecl("martlet_value_element") @implementation
public func martlet_value_element(
  _ value: OpaquePointer?, _ index: Int, _ element: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  make(element) { () throws(MartletError) in
    let value = try HandleTable.shared.value(value, "value")
    guard let part = value.part(index) else {
      let count = value.partCount
      throw MartletError(
        .invalidArgument,
        "the value has \(count) elements, there is no index \(UInt(bitPattern: index))",
        input: "index", expected: "0..<\(count)", actual: "\(UInt(bitPattern: index))")
    }
    return part
  }
}

@_cdecl("martlet_value_keys") @implementation
public func martlet_value_keys(
  _ value: OpaquePointer?, _ keys: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  keys?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(keys, "keys")
    let value = try HandleTable.shared.value(value, "value")
    guard case .map(let map) = value else { throw kindError(value, expected: "a map") }
    result.pointee = try HandleTable.shared.create(map.keys)
  }
}

@_cdecl("martlet_value_tensor") @implementation
public func martlet_value_tensor(
  _ value: OpaquePointer?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let value = try HandleTable.shared.value(value, "value")
    switch value {
    case .tensor(let tensor): result.pointee = try HandleTable.shared.create(tensor)
    case .state(let state):
      try state.checkCurrent()
      result.pointee = try HandleTable.shared.create(state.tensor.readOnly)
    default: throw kindError(value, expected: "a tensor or a state")
    }
  }
}

@_cdecl("martlet_context_run_values") @implementation
public func martlet_context_run_values(
  _ context: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ input_count: Int,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ output_count: Int
) -> martlet_status {
  if let outputs, (1...1 << 20).contains(output_count) {
    for index in 0..<output_count { outputs[index] = nil }
  }
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    let values = try HandleTable.shared.values(inputs, input_count, "inputs")
    let slots = try required(outputs, "outputs")
    guard output_count >= 1, output_count <= object.model.outputs.count else {
      throw MartletError(
        .invalidArgument,
        "the model has \(object.model.outputs.count) outputs, \(UInt(bitPattern: output_count)) were asked for",
        input: "output_count", expected: "1...\(object.model.outputs.count)",
        actual: "\(UInt(bitPattern: output_count))")
    }
    var handles: [OpaquePointer] = []
    do throws(MartletError) {
      for result in try object.run(values).prefix(output_count) {
        handles.append(try HandleTable.shared.create(ValueObject(result)))
      }
    } catch {
      for handle in handles { try HandleTable.shared.release(handle, "output", .value) }
      throw error
    }
    for (index, handle) in handles.enumerated() { slots[index] = handle }
  }
}

// MARK: - Parts

/// Throws `invalidDType` unless all parts are of one kind, which is not other than `kind`.
private func checkKinds(
  _ parts: [Value], _ kind: ValueKind, _ parameter: String, in whole: String
) throws(MartletError) {
  var kind = kind
  for (index, part) in parts.enumerated() {
    let own = part.kind.withoutExtents
    guard let common = kind == .unknownTensor ? own : kind.common(with: own) else {
      throw MartletError(
        .invalidDType, "\(parameter)[\(index)] is \(own.text) in \(whole) of \(kind.text)",
        input: "\(parameter)[\(index)]", expected: kind.text, actual: own.text)
    }
    kind = common.completed(by: own)
  }
}

/// Throws `invalidArgument` where a key of a map is there twice.
private func checkKeys(_ keys: Tensor) throws(MartletError) {
  var seen: Set<String> = []
  for index in 0..<keys.count {
    let key =
      keys.dtype == .string
      ? keys.text(at: index)?.string ?? ""
      : "\(keys.typed(Int64.self)[index * keys.strides[0]])"
    guard seen.insert(key).inserted else {
      throw MartletError(
        .invalidArgument, "the key '\(key)' is there twice", input: "keys[\(index)]",
        expected: "each key once", actual: "'\(key)' again")
    }
  }
}

/// Makes a value handle of what `body` gives.
private func make(
  _ slot: UnsafeMutablePointer<OpaquePointer?>?, _ function: StaticString = #function,
  _ body: () throws(MartletError) -> Value
) -> martlet_status {
  slot?.pointee = nil
  return boundary(function) { () throws(MartletError) in
    let result = try required(slot, "value")
    let value = try body()
    try value.checkExtent()
    result.pointee = try HandleTable.shared.create(ValueObject(value))
  }
}

private func kindError(_ value: Value, expected: String) -> MartletError {
  MartletError(
    .invalidArgument, "the value is \(value.summary), not \(expected)", input: "value",
    expected: expected, actual: value.summary)
}

extension Value {
  /// The martlet_value_kind.
  fileprivate var code: martlet_value_kind {
    switch self {
    case .tensor: 1
    case .sequence: 2
    case .optional: 3
    case .map: 4
    case .state: 5
    }
  }

  /// How many values are in it.
  fileprivate var partCount: Int {
    switch self {
    case .tensor, .state, .optional(nil): 0
    case .sequence(let sequence): sequence.elements.count
    case .optional: 1
    case .map(let map): map.values.count
    }
  }

  /// The value at `index` of those in it; nil: there is none.
  fileprivate func part(_ index: Int) -> Value? {
    guard index >= 0, index < partCount else { return nil }
    switch self {
    case .tensor, .state: return nil
    case .sequence(let sequence): return sequence.elements[index]
    case .optional(let value): return value
    case .map(let map): return map.values[index]
    }
  }
}

extension ValueKind {
  /// The martlet_value_kind.
  var code: martlet_value_kind {
    switch self {
    case .tensor: 1
    case .sequence: 2
    case .optional: 3
    case .map: 4
    }
  }
}
