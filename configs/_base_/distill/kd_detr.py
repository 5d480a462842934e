"""KD-DETR: both decoders answer the teacher's queries, and queries at random places.

For DAB-DETR and DINO; of Deformable and Conditional DETR take ``['teacher']`` alone. The weight of
the loss is published for another divergence, a softmax's, and was not tuned for this one.
"""
_base_ = './kd_sigmoid.py'
detector = dict(distilled_queries=['teacher', 'random'])
