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
    let size = MemoryLayout<martlet_memory>.size
    guard result.pointee.struct_size == size else {
      let given = UInt(bitPattern: result.pointee.struct_size)
      throw MartletError(
        .invalidArgument, "memory.struct_size is \(given)", input: "memory.struct_size",
        expected: "sizeof(martlet_memory), \(size)", actual: "\(given)")
    }
    let now = object.model.memory
    result.pointee.constants_bytes = Int64(now.constants)
    result.pointee.mapped_bytes = Int64(now.mapped)
    result.pointee.prepared_bytes = Int64(now.prepared)
    result.pointee.arena_bytes = Int64(now.arena)
    result.pointee.peak_bytes = Int64(now.peak)
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
