import CMartlet
import MartletCore
import MartletOperators

// Section 11 of martlet.h: attributes. `Operators.swift` has the rest of it.

/// What a `martlet_attributes` handle stands for.
final class AttributeSet: HandleObject {
  static let kind = HandleKind.attributes
  var values: [String: AttributeValue] = [:]
}

@_cdecl("martlet_attributes_create") @implementation
public func martlet_attributes_create(_ attributes: UnsafeMutablePointer<OpaquePointer?>?)
  -> martlet_status
{
  attributes?.pointee = nil
  return boundary { () throws(MartletError) in
    try required(attributes, "attributes").pointee = try HandleTable.shared.create(AttributeSet())
  }
}

@_cdecl("martlet_attributes_retain") @implementation
public func martlet_attributes_retain(_ attributes: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.retain(attributes, "attributes", .attributes)
  }
}

@_cdecl("martlet_attributes_release") @implementation
public func martlet_attributes_release(_ attributes: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.release(attributes, "attributes", .attributes)
  }
}

@_cdecl("martlet_attributes_set_int") @implementation
public func martlet_attributes_set_int(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Int64
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in .int(Int(value)) }
}

@_cdecl("martlet_attributes_set_float") @implementation
public func martlet_attributes_set_float(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Float
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in .float(value) }
}

@_cdecl("martlet_attributes_set_string") @implementation
public func martlet_attributes_set_string(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in .string(try text(value, "value")) }
}

@_cdecl("martlet_attributes_set_ints") @implementation
public func martlet_attributes_set_ints(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafePointer<Int64>?,
  _ count: Int
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in
    .ints(try array(values, count, "values").map { Int($0) })
  }
}

@_cdecl("martlet_attributes_set_floats") @implementation
public func martlet_attributes_set_floats(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ values: UnsafePointer<Float>?,
  _ count: Int
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in
    .floats(Array(try array(values, count, "values")))
  }
}

@_cdecl("martlet_attributes_set_strings") @implementation
public func martlet_attributes_set_strings(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?,
  _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in .strings(try texts(values, count, "values")) }
}

@_cdecl("martlet_attributes_set_tensor") @implementation
public func martlet_attributes_set_tensor(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: OpaquePointer?
) -> martlet_status {
  set(attributes, name) { () throws(MartletError) in
    .tensor(try HandleTable.shared.tensor(value, "value"))
  }
}

private func set(
  _ attributes: OpaquePointer?, _ name: UnsafePointer<CChar>?, function: StaticString = #function,
  _ value: () throws(MartletError) -> AttributeValue
) -> martlet_status {
  boundary(function) { () throws(MartletError) in
    let set = try HandleTable.shared.resolve(attributes, "attributes", as: AttributeSet.self)
    let name = try text(name, "name")
    set.values[name] = try value()
  }
}
