import MartletCore
import Testing

@testable import MartletOperators

@Suite struct EinsumTests {
  private func einsum(_ equation: String, _ inputs: Tensor...) throws -> Tensor {
    try run("Einsum", inputs, ["equation": .string(equation)])[0]
  }

  @Test(
    "products, sums, traces, transpositions and outer products",
    arguments: [DType.float32, .float64, .int32])
  func forms(_ dtype: DType) throws {
    let a = try iota([2, 3], dtype)
    let b = try iota([3, 2], dtype)
    #expect(try einsum("ij,jk->ik", a, b).values == [10, 13, 28, 40])
    #expect(try einsum("ij,jk", a, b).values == [10, 13, 28, 40])
    #expect(try einsum("ij->ji", a).values == [0, 3, 1, 4, 2, 5])
    #expect(try einsum("ij->i", a).values == [3, 12])
    #expect(try einsum("ij->", a).values == [15])
    #expect(try einsum("ii->i", iota([3, 3], dtype)).values == [0, 4, 8])
    #expect(try einsum("ii", iota([3, 3], dtype)).values == [12])
    #expect(
      try einsum("i,j->ij", tensor([1, 2], nil, dtype), tensor([3, 4], nil, dtype)).values == [
        3, 4, 6, 8,
      ])
    #expect(try einsum("ij,ij->", a, a).values == [55])
    #expect(
      try einsum("ij,k->jk", a, tensor([1, 10], nil, dtype)).values == [3, 30, 5, 50, 7, 70])
    #expect(try einsum("ij,jk,kl->il", a, b, tensor([1, 1], [2, 1], dtype)).values == [23, 68])
  }

  @Test("ellipses broadcast from the right") func ellipsis() throws {
    let a = try iota([2, 1, 2, 3])
    let b = try iota([4, 3, 2])
    let product = try einsum("...ij,...jk->...ik", a, b)
    #expect(product.shape == [2, 4, 2, 2])
    #expect(product.values == (try run("MatMul", [a, b])[0].values))
    #expect(try einsum("...ij->...i", a).shape == [2, 1, 2])
    let type = ValueType(dtype: .float32, shape: [.symbol("b"), .known(4), .known(5)])
    let inferred = try infer(
      "Einsum", [type, type], ["equation": .string("bij,bkj->bik")])
    #expect(inferred[0].shape == [.symbol("b"), .known(4), .known(4)])
  }

  @Test("bad equations and shapes are errors") func errors() throws {
    let a = try iota([2, 3])
    for equation in ["", "ij,jk->ik", "ij->k", "ij->ii", "i1->i", "ij->i->j", "ijk->i", "ii->i"] {
      #expect(throws: MartletError.self, "\(equation)") { try einsum(equation, a) }
    }
    #expect(throws: MartletError.self) { try einsum("ij,jk->ik", a, a) }
  }
}
