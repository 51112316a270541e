import CMartlet
import MartletCore
import MartletPlatform
import MartletRuntime

// Section 13 of martlet.h.

@_cdecl("martlet_context_create") @implementation
public func martlet_context_create(
  _ model: OpaquePointer?, _ context: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  context?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(context, "context")
    let model = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    try model.model.checkRoomForRun()
    result.pointee = try HandleTable.shared.create(ContextObject(model))
  }
}

@_cdecl("martlet_context_retain") @implementation
public func martlet_context_retain(_ context: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.retain(context, "context", .context)
  }
}

@_cdecl("martlet_context_release") @implementation
public func martlet_context_release(_ context: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.release(context, "context", .context)
  }
}

@_cdecl("martlet_context_run") @implementation
public func martlet_context_run(
  _ context: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ input_count: Int,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ output_count: Int
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    try object.run(try ModelRun(object.model, inputs, input_count, outputs, output_count))
  }
}

@_cdecl("martlet_context_run_named") @implementation
public func martlet_context_run_named(
  _ context: OpaquePointer?, _ input_names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ inputs: UnsafePointer<OpaquePointer?>?, _ input_count: Int,
  _ output_names: UnsafePointer<UnsafePointer<CChar>?>?,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ output_count: Int
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    try object.run(
      try ModelRun(
        object.model, input_names, inputs, input_count, output_names, outputs, output_count))
  }
}

@_cdecl("martlet_context_set_progress") @implementation
public func martlet_context_set_progress(
  _ context: OpaquePointer?, _ progress: martlet_progress?, _ user: UnsafeMutableRawPointer?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    object.progress = progress.map { CallerProgress($0, user, CallerProgress.running) }
  }
}

@_cdecl("martlet_context_set_option") @implementation
public func martlet_context_set_option(
  _ context: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    let option = OptionText(name: try text(name, "name"), text: try text(value, "value"))
    guard try object.session.options.set(option) else {
      throw OptionText.unknown(option.name, known: RunOptions.names)
    }
  }
}

@_cdecl("martlet_context_set_profiling") @implementation
public func martlet_context_set_profiling(_ context: OpaquePointer?, _ enabled: Bool)
  -> martlet_status
{
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    object.session.isProfiling = enabled
  }
}

@_cdecl("martlet_context_node_count") @implementation
public func martlet_context_node_count(
  _ context: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?
) -> martlet_status {
  answer(context, "context", through: count, "count", or: 0) { (context: ContextObject) in
    context.reports?.nodeCount ?? 0
  }
}

@_cdecl("martlet_context_node") @implementation
public func martlet_context_node(
  _ context: OpaquePointer?, _ index: Int,
  _ info: UnsafeMutablePointer<UnsafePointer<martlet_node_info>?>?
) -> martlet_status {
  answer(context, "context", through: info, "info", or: nil) {
    (context: ContextObject) throws(MartletError) in
    if let row = context.reports?.node(index) { return row }
    let count = context.reports?.nodeCount ?? 0
    throw MartletError(
      .invalidArgument, "the last run had \(count) nodes, there is no index \(index)",
      input: "index", expected: "0..<\(count)", actual: "\(UInt(bitPattern: index))")
  }
}

@_cdecl("martlet_context_precision_report") @implementation
public func martlet_context_precision_report(
  _ context: OpaquePointer?, _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> martlet_status {
  answer(context, "context", through: text, "text", or: nil) {
    (context: ContextObject) throws(MartletError) in
    guard let reports = context.reports else {
      throw MartletError(.invalidState, "the context has not run yet")
    }
    return reports.precisionText
  }
}

@_cdecl("martlet_context_profile") @implementation
public func martlet_context_profile(
  _ context: OpaquePointer?, _ text: UnsafeMutablePointer<UnsafePointer<CChar>?>?
) -> martlet_status {
  answer(context, "context", through: text, "text", or: nil) {
    (context: ContextObject) throws(MartletError) in
    guard let profile = context.reports?.profileText else {
      throw MartletError(
        .invalidState, "no run has succeeded with profiling on (martlet_context_set_profiling)")
    }
    return profile
  }
}

@_cdecl("martlet_context_memory") @implementation
public func martlet_context_memory(
  _ context: OpaquePointer?, _ live_bytes: UnsafeMutablePointer<Int64>?,
  _ kept_bytes: UnsafeMutablePointer<Int64>?, _ peak_bytes: UnsafeMutablePointer<Int64>?
) -> martlet_status {
  live_bytes?.pointee = 0
  kept_bytes?.pointee = 0
  peak_bytes?.pointee = 0
  return boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    let statistics = object.session.memoryStatistics
    live_bytes?.pointee = Int64(statistics.live)
    kept_bytes?.pointee = Int64(statistics.kept)
    peak_bytes?.pointee = Int64(statistics.peak)
  }
}

@_cdecl("martlet_model_trim") @implementation
public func martlet_model_trim(_ model: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(model, "model", as: ModelObject.self)
    object.sessionsAtRest.trim()
    LiveSessions.trim(of: object.model)
  }
}

@_cdecl("martlet_trim") @implementation
public func martlet_trim() -> martlet_status {
  boundary { () throws(MartletError) in
    LiveSessions.trim()
    mp_trim_memory()
  }
}

@_cdecl("martlet_context_trim") @implementation
public func martlet_context_trim(_ context: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    object.session.trimMemory()
  }
}
