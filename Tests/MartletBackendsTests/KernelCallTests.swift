import MartletCore
import Testing

@testable import MartletBackends

@Suite struct KernelCallTests {
  private let workspace = Workspace(pool: .shared, memory: RunMemory())

  private func noise(_ shape: [Int], _ seed: Int) throws -> Tensor {
    let tensor = try Tensor(uninitialized: .float32, shape)
    for index in 0..<tensor.count {
      tensor.typed(Float.self)[index] = Float((index * 37 + seed * 11) % 101) / 25 - 2
    }
    return tensor
  }

  private func bits(_ tensor: Tensor) -> [UInt32] {
    (0..<tensor.count).map { tensor.typed(UInt32.self)[$0] }
  }

  @Test(
    "a kept call gives the bits of the function, as often as it is made",
    arguments: [UnaryFunction.relu, .neg, .tanh, .exp, .sqrt])
  func unary(_ function: UnaryFunction) throws {
    let src = try noise([5, 7], 1)
    let (expected, dst) = (
      try Tensor(uninitialized: .float32, [5, 7]), try Tensor(uninitialized: .float32, [5, 7])
    )
    let call = try #require(Elementwise.call(function, src, into: dst))
    for factor in [Float(1), 0.5] {
      for index in 0..<src.count { src.typed(Float.self)[index] *= factor }
      try Elementwise.unary(function, src, into: expected, workspace)
      call.run()
      #expect(bits(dst) == bits(expected))
    }
  }

  @Test(
    "the same of two operands, one of which may be a single number",
    arguments: [BinaryFunction.add, .sub, .mul, .div, .max], [[5, 7], [], [1], [7], [5, 1]])
  func binary(_ function: BinaryFunction, _ shape: [Int]) throws {
    let (x, y) = (try noise([5, 7], 1), try noise(shape, 2))
    let (expected, dst) = (
      try Tensor(uninitialized: .float32, [5, 7]), try Tensor(uninitialized: .float32, [5, 7])
    )
    let call = try #require(Elementwise.call(function, x, y, into: dst))
    try Elementwise.binary(function, x, y, into: expected, workspace)
    call.run()
    #expect(bits(dst) == bits(expected))
  }

  @Test("what takes more than one kernel on one thread is no call")
  func others() throws {
    let x = try noise([4, 6], 1)
    let dst = try Tensor(uninitialized: .float32, [6, 4])
    let turned = try x.permuted([1, 0])
    #expect(Elementwise.call(UnaryFunction.relu, turned, into: dst) == nil)
    #expect(Elementwise.call(.add, turned, turned, into: dst) == nil)
    #expect(Elementwise.call(.add, try noise([4], 1), turned, into: dst) == nil)
    let cube = try noise([2, 3, 4], 1)
    #expect(Elementwise.call(.add, cube, try noise([2, 1, 4], 1), into: cube) == nil)
    let large = try noise([1 << 20], 1)
    #expect(Elementwise.call(.add, large, large, into: large) == nil)
    let wide = try Tensor(uninitialized: .float64, [6, 4])
    #expect(Elementwise.call(UnaryFunction.relu, wide, into: wide) == nil)
  }
}
