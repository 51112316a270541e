/// What is true of an operator beyond its schema's names: what passes and planners ask instead of
/// knowing operators by name.
package struct OperatorTraits: Sendable, ExpressibleByArrayLiteral {
  /// One statement about an operator.
  package enum Trait: Sendable {
    /// Draws new numbers in each run: never folded, never shared by equal nodes.
    case random
    /// Element i of the output depends on element i of each input alone, inputs broadcasting.
    case elementwise
    /// An output may be a view of this input: it shares its memory, and keeps it alive.
    case view(of: Int)
    /// Output 0 may be written over one of these inputs where that is contiguous and has the
    /// output's shape and dtype, and nothing else reads its memory: no later node, and no other
    /// input of this node but one in the list that is the very same tensor.
    case inPlace(with: [Int])
    /// These inputs are read byte by byte or with loads for any address.
    case anyAddress(inputs: [Int])
    /// Has products that can take over what follows them.
    case epilogue(EpilogueSlots)
    /// Takes elements of every dtype, strings too: it moves them, or says itself which it takes.
    case anyElement
    /// Takes values of every kind, sequences and optionals too, or says itself which it takes.
    case anyKind
    /// What becomes of inputs of narrow dtypes; without this they are refused.
    case narrow(NarrowInputs)
  }

  /// What an operator does with inputs of narrow dtypes (`DType.isNarrow`).
  package enum NarrowInputs: Sendable {
    /// They are not among the operator's types.
    case refused
    /// The operator sees them as they are: it hands them on whole, or knows how they are packed.
    case carried
    /// The operator only moves elements: it sees uint8 with their codes, and what it makes of that is
    /// theirs again.
    case moved
  }

  package private(set) var isRandom = false
  package private(set) var isElementwise = false
  package private(set) var takesAnyElement = false
  package private(set) var takesAnyKind = false
  /// The inputs that an output may be a view of.
  package private(set) var viewedInputs: Set<Int> = []
  /// The inputs that output 0 may be written over; see `Trait.inPlace`.
  package private(set) var inPlaceInputs: Set<Int> = []
  /// The inputs whose elements need not lie at multiples of their size.
  package private(set) var anyAddressInputs: Set<Int> = []
  package private(set) var narrowInputs = NarrowInputs.refused
  /// How a product takes over what follows it; nil: it does not.
  package private(set) var epilogue: EpilogueSlots?

  package init(arrayLiteral traits: Trait...) {
    for trait in traits {
      switch trait {
      case .random: isRandom = true
      case .elementwise: isElementwise = true
      case .view(let input): viewedInputs.insert(input)
      case .inPlace(let inputs): inPlaceInputs.formUnion(inputs)
      case .anyAddress(let inputs): anyAddressInputs.formUnion(inputs)
      case .anyElement: takesAnyElement = true
      case .anyKind: takesAnyKind = true
      case .narrow(let inputs): narrowInputs = inputs
      case .epilogue(let slots): epilogue = slots
      }
    }
  }
}
