import CMartlet
import MartletBackends
import MartletCore

// Section 3 of martlet.h.

@_cdecl("martlet_cpu_name") @implementation
public func martlet_cpu_name() -> UnsafePointer<CChar>? {
  InternedStrings.pointer(ISASelection.processorName)
}

@_cdecl("martlet_cpu_features") @implementation
public func martlet_cpu_features() -> UnsafePointer<CChar>? {
  InternedStrings.pointer(ISASelection.processorFeatures.joined(separator: " "))
}

@_cdecl("martlet_cpu_isa") @implementation
public func martlet_cpu_isa() -> UnsafePointer<CChar>? {
  InternedStrings.pointer(ISASelection.current.name)
}

@_cdecl("martlet_set_isa") @implementation
public func martlet_set_isa(_ name: UnsafePointer<CChar>?) -> martlet_status {
  boundary { () throws(MartletError) in
    try ISASelection.cap(at: try text(name, "name"))
  }
}

@_cdecl("martlet_isa_info_at") @implementation
public func martlet_isa_info_at(_ index: Int) -> UnsafePointer<martlet_isa_info>? {
  infallible { isaTable.row(index) }
}

@_cdecl("martlet_kernel_info_at") @implementation
public func martlet_kernel_info_at(_ index: Int) -> UnsafePointer<martlet_kernel_info>? {
  infallible { kernelTable.row(index) }
}

// MARK: - Tables

/// Rows for C that last as long as the process.
///
/// @unchecked Sendable: written once, then only read.
private struct CTable<Row>: @unchecked Sendable {
  private let rows: UnsafeMutableBufferPointer<Row>

  init(_ rows: [Row]) {
    self.rows = .allocate(capacity: rows.count)
    _ = self.rows.initialize(from: rows)
  }

  func row(_ index: Int) -> UnsafePointer<Row>? {
    guard rows.indices.contains(index), let base = rows.baseAddress else { return nil }
    return UnsafePointer(base + index)
  }
}

private let isaTable: CTable<martlet_isa_info> = {
  let selection = ISASelection.current
  return CTable(
    selection.compiledIn.map { name in
      let refusal = selection.refused.first { $0.name == name }
      let isChosen = name == selection.name
      let reason =
        refusal?.reason
        ?? (isChosen ? "the most capable one allowed" : "a more capable one is allowed")
      return martlet_isa_info(
        name: InternedStrings.pointer(name), is_available: refusal == nil, is_chosen: isChosen,
        reason: InternedStrings.pointer(reason))
    })
}()

private let kernelTable: CTable<martlet_kernel_info> = CTable(
  ISASelection.current.kernelRows.map { row in
    martlet_kernel_info(
      name: InternedStrings.pointer(row.name), isa: InternedStrings.pointer(row.isa),
      purpose: InternedStrings.pointer(row.purpose), reason: InternedStrings.pointer(row.reason))
  })
