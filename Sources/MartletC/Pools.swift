import CMartlet
import MartletCore

// Section 4 of martlet.h: pools of the caller's own. `Threads.swift` has that of the process.

/// What a `martlet_pool` handle stands for.
final class PoolObject: HandleObject, Sendable {
  static let kind = HandleKind.pool

  let pool: ThreadPool

  init(_ pool: ThreadPool) { self.pool = pool }
}

extension HandleTable {
  /// The pool of a handle; that of the process for NULL.
  func pool(_ handle: OpaquePointer?, _ parameter: String) throws(MartletError) -> ThreadPool {
    try resolveOptional(handle, parameter, as: PoolObject.self)?.pool ?? .shared
  }
}

@_cdecl("martlet_pool_create") @implementation
public func martlet_pool_create(
  _ options: UnsafePointer<martlet_pool_options>?, _ pool: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  pool?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(pool, "pool")
    let given = try MartletC.options(options) ?? martlet_pool_options()
    let processors = try array(given.processors, given.processor_count, "options.processors")
    guard processors.count <= ThreadPool.maximumProcessors else {
      throw MartletError(
        .invalidArgument, "options.processor_count is \(processors.count)",
        input: "options.processor_count", expected: "at most \(ThreadPool.maximumProcessors)",
        actual: "\(processors.count)")
    }
    let made = try ThreadPool(
      threads: Int(given.thread_count), processors: processors.map { Int($0) })
    if let function = given.parallel_for {
      made.setExternal(
        unsafeBitCast(function, to: ThreadPool.ExternalParallelFor.self),
        user: given.parallel_for_user)
    }
    result.pointee = try HandleTable.shared.create(PoolObject(made))
  }
}

@_cdecl("martlet_pool_retain") @implementation
public func martlet_pool_retain(_ pool: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.retain(pool, "pool", .pool)
  }
}

@_cdecl("martlet_pool_release") @implementation
public func martlet_pool_release(_ pool: OpaquePointer?) -> martlet_status {
  boundary { () throws(MartletError) in
    try HandleTable.shared.release(pool, "pool", .pool)
  }
}

@_cdecl("martlet_pool_thread_count") @implementation
public func martlet_pool_thread_count(
  _ pool: OpaquePointer?, _ count: UnsafeMutablePointer<Int32>?
) -> martlet_status {
  count?.pointee = 0
  return boundary { () throws(MartletError) in
    let count = try required(count, "count")
    let object = try HandleTable.shared.resolve(pool, "pool", as: PoolObject.self)
    count.pointee = Int32(clamping: object.pool.threadCount)
  }
}

@_cdecl("martlet_context_set_pool") @implementation
public func martlet_context_set_pool(_ context: OpaquePointer?, _ pool: OpaquePointer?)
  -> martlet_status
{
  boundary { () throws(MartletError) in
    let object = try HandleTable.shared.resolve(context, "context", as: ContextObject.self)
    object.session.options.pool = try HandleTable.shared.pool(pool, "pool")
  }
}
