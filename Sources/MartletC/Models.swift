import CMartlet
import MartletCore
import MartletRuntime

// Section 12 of martlet.h.

@_cdecl("martlet_model_load") @implementation
public func martlet_model_load(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<martlet_model_options>?,
  _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  model?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(model, "model")
    let path = try text(path, "path")
    let settings = try LoadSettings(options, isMemory: false)
    let model = try Model.load(
      path: path, options: settings.options, progress: settings.progress?.callback)
    result.pointee = try HandleTable.shared.create(ModelObject(model))
  }
}

@_cdecl("martlet_model_load_memory") @implementation
public func martlet_model_load_memory(
  _ data: UnsafeRawPointer?, _ data_bytes: Int, _ options: UnsafePointer<martlet_model_options>?,
  _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  model?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(model, "model")
    let count = try size(data_bytes, "data_bytes")
    let data = count == 0 ? data : try required(data, "data")
    let settings = try LoadSettings(options, isMemory: true)
    let model = try Model.load(
      bytes: UnsafeRawBufferPointer(start: data, count: count), borrowed: settings.borrowsMemory,
      options: settings.options, progress: settings.progress?.callback)
    result.pointee = try HandleTable.shared.create(ModelObject(model))
  }
}

@_cdecl("martlet_model_retain") @implementation
public func martlet_model_retain(_ model: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.retain(model, "model", .model)
  }
}

@_cdecl("martlet_model_release") @implementation
public func martlet_model_release(_ model: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.release(model, "model", .model)
  }
}

@_cdecl("martlet_model_input_count") @implementation
public func martlet_model_input_count(
  _ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  answer(model, "model", through: count, "count", or: 0) { (model: ModelObject) in
    model.inputs.count
  }
}

@_cdecl("martlet_model_output_count") @implementation
public func martlet_model_output_count(
  _ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  answer(model, "model", through: count, "count", or: 0) { (model: ModelObject) in
    model.outputs.count
  }
}

@_cdecl("martlet_model_input") @implementation
public func martlet_model_input(
  _ model: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<UnsafePointer<martlet_value_info>?>?
) -> martlet_status {
  answer(model, "model", through: info, "info", or: nil) {
    (model: ModelObject) throws(MartletError) in try model.inputs.row(index, "inputs")
  }
}

@_cdecl("martlet_model_output") @implementation
public func martlet_model_output(
  _ model: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<UnsafePointer<martlet_value_info>?>?
) -> martlet_status {
  answer(model, "model", through: info, "info", or: nil) {
    (model: ModelObject) throws(MartletError) in try model.outputs.row(index, "outputs")
  }
}

@_cdecl("martlet_model_replaceable_count") @implementation
public func martlet_model_replaceable_count(
  _ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  answer(model, "model", through: count, "count", or: 0) { (model: ModelObject) in
    model.replaceable.count
  }
}

@_cdecl("martlet_model_replaceable") @implementation
public func martlet_model_replaceable(
  _ model: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<UnsafePointer<martlet_value_info>?>?
) -> martlet_status {
  answer(model, "model", through: info, "info", or: nil) {
    (model: ModelObject) throws(MartletError) in
    try model.replaceable.row(index, "initialisers that are inputs too")
  }
}

@_cdecl("martlet_model_metadata_count") @implementation
public func martlet_model_metadata_count(
  _ model: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  answer(model, "model", through: count, "count", or: 0) { (model: ModelObject) in
    model.metadata.count
  }
}

@_cdecl("martlet_model_metadata") @implementation
public func martlet_model_metadata(
  _ model: OpaquePointer?, _ index: Int, _ key: UnsafeMutablePointer<UnsafePointer<CChar>?>?,
  _ value: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> martlet_status {
  key?.pointee = nil
  value?.pointee = nil
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    let (key, value) = (try required(key, "key"), try required(value, "value"))
    guard object.metadata.indices.contains(index) else {
      throw MartletError(
        .invalidArgument,
        "the model has \(object.metadata.count) metadata entries, there is no index \(index)",
        input: "index", expected: "0..<\(object.metadata.count)",
        actual: "\(UInt(bitPattern: index))")
    }
    key.pointee = object.metadata[index].key.pointer
    value.pointee = object.metadata[index].value.pointer
  }
}

@_cdecl("martlet_model_run") @implementation
public func martlet_model_run(
  _ model: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ input_count: Int,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ output_count: Int
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    let run = try ModelRun(object, inputs, input_count, outputs, output_count)
    try object.sessionsAtRest.withSession { session throws(MartletError) in
      try run.perform(session, progress: nil)
    }
  }
}
