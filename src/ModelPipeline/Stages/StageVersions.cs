namespace ModelPipeline.Stages;

/// <summary>
/// Versions of the code of each stage, part of its key: raised whenever it makes other bytes of the same inputs, so that nothing older is
/// reused.
/// StageVersionTests pins what the stages make of the sample model beside these numbers.
/// </summary>
internal static class StageVersions
{
    public const int Raise = 2;
    public const int Inspect = 7;
    public const int Prepare = 9;
    public const int Calibrate = 6;
    public const int Quantize = 9;
    public const int Score = 7;
    public const int Measure = 8;
    public const int Package = 10;
}
