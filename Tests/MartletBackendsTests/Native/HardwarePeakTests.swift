import Testing

@testable import MartletBackends

@Suite struct HardwarePeakTests {
  @Test("the units' limit is measured where there is such a unit") func measures() throws {
    let fp32 = try #require(HardwarePeak.measure(.float32, threads: 1))
    print("fp32 peak:", fp32 * 1e-9, "GFLOP/s")
    #expect(fp32 > 0 && fp32.isFinite)
    let int8 = try #require(HardwarePeak.measure(.int8, threads: 1))
    #expect(int8 > 0 && int8.isFinite)
    let hasBF16 = ISASelection.current.noBF16Reason.isEmpty
    #expect((HardwarePeak.measure(.bfloat16, threads: 1) != nil) == hasBF16)
  }
}
