import MartletCore
import MartletOperators

/// Where the results and scratch of all nodes lie in one arena, for runs with inputs of certain shapes.
///
/// It is laid out from the record of one such run. A later run whose nodes ask for something else
/// (shapes that depend on data) is right all the same: what does not fit its place gets memory of its
/// own. Outputs of the graph, and what they are views of, are never laid out: they leave the run.
struct ShapePlan {
  private struct Placement {
    /// From the arena's start, or from that of `constant`.
    let byteOffset: Int
    let constant: Storage?
  }

  /// Bytes of the whole arena: results, and each node's scratch while it runs.
  let arenaBytes: Int
  /// Bytes of the results that leave the run, each in memory of its own.
  let leavingBytes: Int
  private let record: RunRecord
  /// By result: where what it asks for lies, and where what it delivers.
  private let requested: [Int?]
  private let delivered: [Placement?]
  /// By node: where its scratch lies, one request after another.
  private let scratchOffsets: [Int]

  /// The nodes that need not run: their results are views, the same in every run.
  let isSkipped: [Bool]

  /// `keptBytes`: outputs of the graph of at most so many bytes stay in the arena, to be read before the
  /// next run.
  init(_ record: RunRecord, _ plan: Plan, keptBytes: Int = 0) {
    self.record = record
    let count = record.results.count
    // The result whose memory each result lies in; nil: none that is laid out.
    var owner = [Int?](repeating: nil, count: count)
    var placement = [Placement?](repeating: nil, count: count)
    var last = [Int](repeating: 0, count: count)
    var first = [Int](repeating: 0, count: count)
    var leaves = [Bool](repeating: false, count: count)
    for (index, node) in plan.nodes.enumerated() {
      for result in node.results {
        let entry = record.results[result]
        switch entry.origin {
        case .other: continue
        case .fresh:
          owner[result] = result
          first[result] = index
          placement[result] = Placement(byteOffset: entry.byteOffset, constant: nil)
        case .view(let position):
          switch plan.sources[node.operands.lowerBound + position] {
          case .absent, .input: continue
          case .constant(let tensor):
            placement[result] = Placement(
              byteOffset: tensor.byteOffset + entry.byteOffset, constant: tensor.storage)
          case .result(let source):
            guard let base = placement[source] else { continue }
            owner[result] = owner[source]
            placement[result] = Placement(
              byteOffset: base.byteOffset + entry.byteOffset, constant: base.constant)
          }
        }
        let end = plan.readers[result].map { $0.node }.max() ?? index
        guard let holder = owner[result] else { continue }
        last[holder] = max(last[holder], end, index)
        if plan.outputOf[result] >= 0 {
          last[holder] = plan.nodes.count
          if record.byteCount(ofResult: holder) > keptBytes { leaves[holder] = true }
        }
      }
    }
    // The result whose block each owner shares: its own, or that of an input it is written over.
    var block = Array(0..<count)
    for (index, node) in plan.nodes.enumerated() {
      guard let result = node.results.first, owner[result] == result, !leaves[result],
        let input = ShapePlan.overwritten(index, plan, record, owner, placement),
        last[block[input]] == index, !leaves[input]
      else { continue }
      block[result] = block[input]
      last[block[input]] = last[result]
    }
    var tenants: [ArenaLayout.Tenant] = []
    var tenantOf = [Int?](repeating: nil, count: count)
    for result in 0..<count where owner[result] == result && !leaves[result] {
      guard block[result] == result else {
        tenantOf[result] = tenantOf[block[result]]
        continue
      }
      guard record.results[result].requested != nil else { continue }
      tenantOf[result] = tenants.count
      tenants.append(
        ArenaLayout.Tenant(
          byteCount: record.byteCount(ofResult: result), first: first[result], last: last[result]))
    }
    let resultTenants = tenants.count
    for (node, requests) in record.scratch.enumerated() {
      let bytes = requests.reduce(0) { $0 + ShapePlan.byteCount($1) }
      tenants.append(ArenaLayout.Tenant(byteCount: bytes, first: node, last: node))
    }
    let arena = ArenaLayout(tenants)
    scratchOffsets = Array(arena.offsets[resultTenants...])
    func offset(_ result: Int) -> Int? { tenantOf[result].map { arena.offsets[$0] } }
    requested = (0..<count).map { owner[$0] == $0 ? offset($0) : nil }
    let delivered = (0..<count).map { result -> Placement? in
      // What leaves the run is handed over in each.
      guard plan.outputOf[result] < 0 || owner[result].map({ !leaves[$0] }) ?? false else {
        return nil
      }
      guard let place = placement[result], place.constant == nil else { return placement[result] }
      return owner[result].flatMap { offset($0) }.map {
        Placement(byteOffset: $0 + place.byteOffset, constant: nil)
      }
    }
    self.delivered = delivered
    leavingBytes = (0..<count).reduce(0) { sum, result in
      owner[result] == result && leaves[result] ? sum + record.byteCount(ofResult: result) : sum
    }
    arenaBytes = arena.byteCount
    isSkipped = plan.nodes.map { node in
      guard !node.results.isEmpty, !node.hasRegions else { return false }
      let areViews = node.results.allSatisfy { result in
        if case .view(of: 0) = record.results[result].origin {
          delivered[result] != nil
        } else {
          false
        }
      }
      return areViews
        && plan.sources[node.operands].dropFirst().allSatisfy { source in
          switch source {
          case .absent, .constant: true
          case .input, .result: false
          }
        }
    }
  }

  /// The owner of the memory that node `index` may write its first result over, where its operator
  /// permits that and the layouts are the same; whether anybody reads it later is not looked at.
  private static func overwritten(
    _ index: Int, _ plan: Plan, _ record: RunRecord, _ owner: [Int?], _ placement: [Placement?]
  ) -> Int? {
    let node = plan.nodes[index]
    let permitted = type(of: node.operation).schema.traits.inPlaceInputs
    guard !permitted.isEmpty, let result = node.results.first,
      let wanted = record.results[result].requested
    else { return nil }
    func producer(_ position: Int) -> Int? {
      guard position < node.operands.count,
        case .result(let source) = plan.sources[node.operands.lowerBound + position]
      else { return nil }
      return source
    }
    for position in permitted.sorted() {
      guard let source = producer(position), let holder = owner[source],
        let place = placement[source], place.constant == nil, place.byteOffset == 0,
        record.results[source].dtype == record.results[result].dtype,
        record.results[holder].dtype == record.results[result].dtype,
        record.results[holder].requested?.count == wanted.count,
        let layout = record.results[source].delivered, layout.isContiguous,
        layout.shape == wanted.shape
      else { continue }
      // Another operand on the same memory must be that very tensor, read element by element too.
      let isShared = node.operands.indices.contains { operand in
        let other = operand - node.operands.lowerBound
        guard let second = producer(other), owner[second] == holder else { return false }
        let isSame =
          placement[second]?.byteOffset == 0
          && record.results[second].delivered.map { $0.isEqual(layout) } ?? false
        return !permitted.contains(other) || !isSame
      }
      if !isShared { return holder }
    }
    return nil
  }

  private static func byteCount(_ request: (dtype: DType, layout: TensorLayout)) -> Int {
    ArenaLayout.rounded(request.dtype.byteCount(of: request.layout.count))
  }

  // MARK: - The tensors in an arena

  /// By result: where its node writes it.
  func places(in arena: Storage) -> [Tensor?] {
    requested.enumerated().map { result, offset in
      guard let offset, let layout = record.results[result].requested else { return nil }
      return Tensor(
        unchecked: arena, dtype: record.results[result].dtype, layout: layout, byteOffset: offset)
    }
  }

  /// By result: what its readers get.
  func values(in arena: Storage) -> [Tensor?] {
    delivered.enumerated().map { result, placement in
      guard let placement, let layout = record.results[result].delivered else { return nil }
      return Tensor(
        unchecked: placement.constant ?? arena, dtype: record.results[result].dtype, layout: layout,
        byteOffset: placement.byteOffset)
    }
  }

  /// The scratch of all nodes, and by node which part is its own.
  func scratch(in arena: Storage) -> (tensors: [Tensor], ranges: [Range<Int>]) {
    var tensors: [Tensor] = []
    var ranges: [Range<Int>] = []
    for (node, requests) in record.scratch.enumerated() {
      let start = tensors.count
      var offset = scratchOffsets[node]
      for request in requests {
        tensors.append(
          Tensor(
            unchecked: arena, dtype: request.dtype, layout: request.layout, byteOffset: offset))
        offset += ShapePlan.byteCount(request)
      }
      ranges.append(start..<tensors.count)
    }
    return (tensors, ranges)
  }
}
