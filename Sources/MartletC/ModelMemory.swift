import CMartlet
import MartletCore
import MartletGraph
import MartletRuntime

// Section 12 of martlet.h: memory.

@_cdecl("martlet_model_memory") @implementation
public func martlet_model_memory(
  _ model: OpaquePointer?, _ memory: UnsafeMutablePointer<martlet_memory>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    let result = try required(memory, "memory")
    let now = object.model.memory
    var filled = martlet_memory()
    filled.constants_bytes = Int64(now.constants)
    filled.mapped_bytes = Int64(now.mapped)
    filled.prepared_bytes = Int64(now.prepared)
    filled.arena_bytes = Int64(now.arena)
    filled.peak_bytes = Int64(now.peak)
    try fill(UnsafeMutableRawPointer(result), with: filled, "memory")
  }
}

@_cdecl("martlet_model_result_bytes") @implementation
public func martlet_model_result_bytes(
  _ model: OpaquePointer?, _ shapes: UnsafePointer<UnsafePointer<Int64>?>?,
  _ ranks: UnsafePointer<Int32>?, _ input_count: Int, _ bytes: UnsafeMutablePointer<Int64>?
) -> martlet_status {
  bytes?.pointee = -1
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    let result = try required(bytes, "bytes")
    let ranks = try array(ranks, input_count, "ranks")
    var given: [[Int]] = []
    for (index, shape) in try array(shapes, input_count, "shapes").enumerated() {
      given.append(try extents(shape, ranks[index], "shapes[\(index)]"))
    }
    if let known = try object.model.resultBytes(given) { result.pointee = Int64(known) }
  }
}
