import MartletCore
import Testing

@testable import MartletGraph

@Suite struct ArenaLayoutTests {
  /// Tenants of many sizes that live for a few nodes each, some of them of no bytes.
  private func tenants(_ count: Int, seed: UInt64) -> [ArenaLayout.Tenant] {
    var state = seed
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    return (0..<count).map { _ in
      let first = random(count / 4 + 1)
      return ArenaLayout.Tenant(
        byteCount: random(8) == 0 ? 0 : 1 + random(5000), first: first, last: first + random(6))
    }
  }

  @Test("none that live at the same time overlap", arguments: [1, 40, 700, 5000, 9000])
  func apart(count: Int) {
    let tenants = tenants(count, seed: UInt64(count))
    let layout = ArenaLayout(tenants)
    var living: [Int: [Int]] = [:]
    for (index, tenant) in tenants.enumerated() where tenant.byteCount > 0 {
      #expect(layout.offsets[index] % Storage.alignment == 0)
      #expect(layout.offsets[index] + tenant.byteCount <= layout.byteCount)
      for node in tenant.first...tenant.last { living[node, default: []].append(index) }
    }
    for together in living.values {
      let places = together.map { (layout.offsets[$0], tenants[$0].byteCount) }.sorted { $0 < $1 }
      for (one, next) in zip(places, places.dropFirst()) { #expect(one.0 + one.1 <= next.0) }
    }
  }

  @Test("those that all live at once take their sum, a chain of many takes two of them")
  func extremes() {
    let wide = (0..<20_000).map { ArenaLayout.Tenant(byteCount: 64, first: $0, last: 20_000) }
    #expect(ArenaLayout(wide).byteCount == 20_000 * 64)
    let chain = (0..<20_000).map { ArenaLayout.Tenant(byteCount: 64, first: $0, last: $0 + 1) }
    #expect(ArenaLayout(chain).byteCount == 2 * 64)
  }
}
