using ModelPipeline.Planning;
using ModelPipeline.Rewrites;
using ModelPipeline.Tests.Onnx;

namespace ModelPipeline.Tests.Planning;

/// <summary>Operators of every encoder family can be counted, so that its time can be estimated.</summary>
public sealed class GraphWorkTests
{
    private const int Layers = 2;

    [Theory]
    [MemberData(nameof(FamilyFixtures.Rows), MemberType = typeof(FamilyFixtures))]
    public void The_work_of_a_family_is_counted_at_two_lengths(string name)
    {
        FamilyFixtures.SkipIfMissing();
        var exported = FamilyFixtures.Load(name);
        var prepared = Pass.Families.Aggregate(
            PinShapes.Outputs(PinShapes.Apply(exported, FamilyFixtures.Shape)),
            (model, pass) => pass.Apply(model, FamilyFixtures.Samples(exported)).Model
        );
        Assert.All(prepared.Graph.Outputs, output => Assert.All(output.Shape, dimension => Assert.NotNull(dimension.Value)));

        // Queries, keys and values may be one product; beside them the attention's, and two of the FFN.
        var products = GraphWork.Of(exported).Narrow.Where(work => work.Class == OperatorClass.Linear).Sum(work => work.Count);
        Assert.InRange(products, Layers * 4, (Layers * 8) + 3);
    }
}
